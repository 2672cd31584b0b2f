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

/* What Swagger UI writes against its own roles: a link within the button that opens an operation, groups without a
   heading above theirs, a head and a filter that belong to no part of the page, fields without a
   name, code that scrolls and no key reaches, a window that keys wander out of. */
function Accessible({ React }) {
    const element = React.createElement;
    const code = ({ className, children }) => element("pre", { className: `microlight ${className}`, tabIndex: 0 }, children);
    const part = (name) => (Part) => (props) => element("section", { "aria-label": name }, element(Part, props));
    const modal = (Popup) => (props) => {
        const place = React.useRef(null);
        const leave = () => props.authActions.showDefinitions(false);
        React.useLayoutEffect(() => {
            const dialog = place.current;
            dialog.showModal();
            return () => dialog.close(); // while it is still in the page: the focus goes back to what opened it
        }, []);
        const named = { ref: place, className: "holder", "aria-label": "Available authorizations", onClose: leave };
        return element("dialog", named, element(Popup, props));
    };
    const titled = (Part) => (props) =>
        element(React.Fragment, null, element("h2", { className: "wrapper" }, "Operations"), element(Part, props));
    return {
        components: { DeepLink: ({ text }) => element("span", null, text), SyntaxHighlighter: code },
        wrapComponents: {
            InfoContainer: part("About"),
            FilterContainer: part("Filter"),
            operations: titled,
            authorizationPopup: modal,
            CloseIcon: (Icon) => (props) => element("span", { role: "img", "aria-label": "Close" }, element(Icon, props)),
            TextArea: (Field) => (props) => element(Field, { "aria-label": "Body", ...props }),
        },
    };
}

const dark = matchMedia("(prefers-color-scheme: dark)");

function dress() {
    const { classList, dataset } = document.documentElement; // the theme is chosen in the dashboard; Django's script reads it
    classList.toggle("dark-mode", dataset.theme === "dark" || (dataset.theme !== "light" && dark.matches));
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
        plugins: [Accessible],
        validatorUrl: "none",
        requestInterceptor: withToken,
    });
});
