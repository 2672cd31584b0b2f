// Models are put in order by dragging, too: the arrows beside them do the same for keyboards and without scripts.
"use strict";

function makeDraggable() {
    for (const list of document.querySelectorAll("ol.models")) {
        const order = document.querySelector(`form.order[data-layer="${CSS.escape(list.dataset.layer)}"]`);
        if (order) for (const item of list.children) item.draggable = true;
    }
}

function send(list) {
    const form = document.querySelector(`form.order[data-layer="${CSS.escape(list.dataset.layer)}"]`);
    form.querySelectorAll("[name=model]").forEach(input => input.remove());
    for (const item of list.children) {
        const input = form.appendChild(document.createElement("input"));
        Object.assign(input, {type: "hidden", name: "model", value: item.dataset.model});
    }
    form.requestSubmit();
}

let dragged = null;

function over(event) {
    const item = dragged && event.target.closest && event.target.closest("ol.models > li");
    return item && item.parentElement === dragged.parentElement ? item : null;
}

document.addEventListener("DOMContentLoaded", () => {
    makeDraggable();
    document.body.addEventListener("htmx:afterSettle", makeDraggable);
    document.addEventListener("dragstart", event => {
        dragged = event.target.closest ? event.target.closest("ol.models > li") : null;
        if (dragged) dragged.classList.add("is-dragged");
    });
    document.addEventListener("dragover", event => {
        const item = over(event);
        document.querySelectorAll(".is-over").forEach(one => one.classList.remove("is-over"));
        if (!item || item === dragged) return;
        event.preventDefault();
        item.classList.add("is-over");
    });
    document.addEventListener("drop", event => {
        const item = over(event);
        if (!item || item === dragged) return;
        event.preventDefault();
        const isDown = dragged.compareDocumentPosition(item) & Node.DOCUMENT_POSITION_FOLLOWING;
        item.insertAdjacentElement(isDown ? "afterend" : "beforebegin", dragged);
        send(dragged.parentElement);
    });
    document.addEventListener("dragend", () => {
        if (dragged) dragged.classList.remove("is-dragged");
        dragged = null;
    });
});
