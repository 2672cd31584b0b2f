// A model's answer while it is written. Without scripts the form is sent as any other, and the answer comes as a whole.
"use strict";

async function* linesOf(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
        const {value, done} = await reader.read();
        if (done) return;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) yield JSON.parse(line);
    }
}

async function show(response, place) {
    const answer = Object.assign(document.createElement("p"), {className: "answer"});
    place.replaceChildren(answer);
    for await (const line of linesOf(response.body)) {
        if (line.text) answer.append(line.text);
        else if (line.html) place.innerHTML = line.html;
        else tell(line.mistake);
    }
}

async function ask(form) {
    const place = document.getElementById(form.dataset.told), button = form.querySelector("button");
    button.disabled = true;
    place.ariaBusy = "true"; // screen readers wait for the whole of it
    document.getElementById("trouble")?.remove();
    try {
        const response = await fetch(form.dataset.live, {method: "POST", body: new FormData(form)});
        const isAnswer = response.headers.get("Content-Type") === "application/x-ndjson";
        if (isAnswer) await show(response, place);
        else tell(SAID[response.redirected ? 401 : response.status] || `The gateway failed at this (${response.status}).`);
    } catch {
        tell("The answer broke off: the gateway does not answer.");
    }
    place.ariaBusy = "false";
    button.disabled = false;
    button.focus();
}

// Before anybody else sees that the form is sent.
document.addEventListener("submit", event => {
    const form = event.target.closest("form[data-live]");
    if (!form) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    ask(form);
}, true);
