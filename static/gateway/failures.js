// Says so where a part of a page asked for something and no answer that fits it came: the page stays as it is, with what
// was typed, under a line that says what happened.
"use strict";

const SAID = {
    401: "You are not signed in any more: nothing was saved. What you typed stands here until you load the page anew.",
    403: "This is not yours to do any more: nothing was saved. Load the page anew.",
    404: "It is not there any more: nothing was saved. Load the page anew.",
};
const SILENT = "The gateway does not answer: nothing was saved, and what stands here may be old.";

function tell(words) {
    let line = document.getElementById("trouble");
    if (!line) {
        line = document.createElement("p");
        Object.assign(line, {id: "trouble", className: "errornote"});
        line.setAttribute("role", "alert");
        document.getElementById("content").prepend(line);
    }
    if (line.textContent !== words) line.textContent = words;
}

function isSignIn(xhr) {
    return new URL(xhr.responseURL || location.href, location.href).pathname.endsWith("/login/");
}

// Whole pages come back where there is nothing to put into this one: a sign-in, what is gone, what is not allowed.
function look(event) {
    const {xhr, target} = event.detail;
    if (isSignIn(xhr)) {
        event.detail.shouldSwap = false;
        tell(SAID[401]);
    } else if (target && target.id && !xhr.responseText.includes(`id="${target.id}"`)) {
        event.detail.shouldSwap = false;
        tell(SAID[xhr.status] || "The answer does not fit this page: load it anew.");
    }
}

document.addEventListener("DOMContentLoaded", () => {
    const body = document.body;
    body.addEventListener("htmx:beforeSwap", look);
    body.addEventListener("htmx:afterSwap", () => document.getElementById("trouble")?.remove());
    body.addEventListener("htmx:sendError", () => tell(SILENT));
    body.addEventListener("htmx:timeout", () => tell(SILENT));
    body.addEventListener("htmx:responseError", event => {
        if (event.detail.xhr.status >= 500) tell(`The gateway failed at this (${event.detail.xhr.status}): its log says why.`);
    });
});
