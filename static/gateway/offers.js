// Rows of a long list are left out while a name is typed. Without scripts the same field is sent with the form.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    const words = document.getElementById("words");
    const rows = Array.from(document.querySelectorAll("#offers tbody tr"));
    const count = document.getElementById("offers-count");
    if (!words || !rows.length) return;
    const names = rows.map(row => row.children[1].textContent.toLowerCase());
    words.addEventListener("input", () => {
        const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
        rows.forEach((row, number) => { row.hidden = !wanted.every(word => names[number].includes(word)); });
        count.textContent = rows.filter(row => !row.hidden).length;
    });
});
