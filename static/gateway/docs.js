// Swagger UI over the API's own description. Changes sent by a session carry Django's CSRF token, as forms do.
"use strict";

function csrfToken() {
    return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
}

function withToken(request) {
    const isOurs = new URL(request.url, location).origin === location.origin;
    if (csrfToken() && isOurs && request.method && request.method !== "GET") request.headers["X-CSRFToken"] = csrfToken();
    return request;
}

const dark = matchMedia("(prefers-color-scheme: dark)");

function dress() {
    document.documentElement.classList.toggle("dark-mode", dark.matches);
}

document.addEventListener("DOMContentLoaded", () => {
    const place = document.getElementById("api");
    place.replaceChildren(); // the list for who has no scripts
    dress();
    dark.addEventListener("change", dress);
    SwaggerUIBundle({
        url: place.dataset.description,
        domNode: place,
        deepLinking: true,
        docExpansion: "list",
        defaultModelsExpandDepth: -1,
        filter: true,
        validatorUrl: "none",
        requestInterceptor: withToken,
    });
});
