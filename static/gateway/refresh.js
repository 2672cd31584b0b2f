// Has parts of a page ask for themselves anew every so many seconds, while somebody may be looking.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    const last = new Map();
    setInterval(() => {
        if (document.visibilityState !== "visible") return;
        for (const part of document.querySelectorAll("[data-every]")) {
            const now = Date.now();
            if (!last.has(part.id)) last.set(part.id, now);
            if (now - last.get(part.id) < part.dataset.every * 1000) continue;
            last.set(part.id, now);
            htmx.trigger(part, "refresh");
        }
    }, 500);
});
