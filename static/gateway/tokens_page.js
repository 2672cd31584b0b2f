// Tokens and budgets: buttons that copy a text to the clipboard, which are not there without scripts (the texts can be
// selected).
"use strict";

function textOf(source) {
    return "value" in source ? source.value : source.textContent;
}

function select(source) {
    if ("select" in source) return source.select();
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
}

// Browsers have a clipboard on secure addresses alone; elsewhere the text is selected, for a key stroke to copy it.
async function copy(button) {
    const source = document.getElementById(button.dataset.copies);
    let said = "Copied";
    try {
        await navigator.clipboard.writeText(textOf(source));
    } catch {
        source.focus();
        select(source);
        said = "Selected: press Ctrl+C";
    }
    const words = button.textContent;
    button.textContent = said;
    const status = document.getElementById("copied");
    if (status) status.textContent = `${said}.`;
    setTimeout(() => (button.textContent = words), 2000);
}

function showButtons() {
    for (const button of document.querySelectorAll("[data-copies]")) button.hidden = false;
}

document.addEventListener("DOMContentLoaded", () => {
    showButtons();
    document.body.addEventListener("htmx:afterSettle", showButtons);
    document.addEventListener("click", event => {
        const button = event.target.closest("[data-copies]");
        if (button) copy(button);
    });
});
