// The overview's charts. Without them the page has its tables.
"use strict";

const HEIGHT_PX = 180;
const plots = new Map();

function colours(count) {
    const style = getComputedStyle(document.documentElement);
    const probe = document.body.appendChild(document.createElement("i"));
    const found = Array.from({length: count}, (_, index) => {
        const name = index < 4 ? `--layer-${index}` : "--layer-other";
        probe.style.color = `var(${name})`;
        return getComputedStyle(probe).color;
    });
    probe.style.color = "var(--line)";
    const line = getComputedStyle(probe).color;
    probe.style.color = "var(--quiet)";
    const quiet = getComputedStyle(probe).color;
    probe.remove();
    return {layers: found, line, quiet, font: `12px ${style.getPropertyValue("font-family") || "sans-serif"}`};
}

// Each layer stands on those below it; the topmost is drawn first, so that the lower ones cover it.
function stacked(values) {
    const sums = values[0].map(() => 0);
    return values.map(row => row.map((value, index) => (sums[index] += value))).reverse();
}

function shown(name, value) {
    if (value === null || value === undefined) return "–";
    const most = name === "usd" ? {maximumSignificantDigits: 3} : {notation: "compact"};
    return (name === "usd" ? "$" : "") + value.toLocaleString("en-GB", most);
}

// Hours and minutes; at midnight, and where steps are days, the day.
function moments(series, ticks) {
    const zone = {timeZone: series.zone};
    const clock = new Intl.DateTimeFormat("en-GB", {...zone, hour: "2-digit", minute: "2-digit"});
    const day = new Intl.DateTimeFormat("en-GB", {...zone, day: "numeric", month: "short"});
    return ticks.map(tick => {
        const at = new Date(tick * 1000), time = clock.format(at);
        return time === "00:00" ? day.format(at) : time;
    });
}

function options(name, series, box) {
    const paint = colours(series.layers.length);
    const layers = series.layers.map((layer, index) => ({
        label: layer,
        fill: paint.layers[index],
        width: 0,
        points: {show: false},
        paths: uPlot.paths.bars({size: [0.9, 100], align: 1}),
        value: (plot, _, __, at) => at === null ? "–" : shown(name, series[name][index][at]),
    })).reverse();
    const axis = {stroke: paint.quiet, grid: {stroke: paint.line, width: 1}, ticks: {stroke: paint.line}, font: paint.font};
    return {
        width: box.clientWidth,
        height: HEIGHT_PX,
        tzDate: seconds => uPlot.tzDate(new Date(seconds * 1000), series.zone),
        scales: {x: {range: () => [series.from, series.until]}, y: {range: (_, low, high) => [0, high * 1.05 || 1]}},
        axes: [{...axis, values: (_, ticks) => moments(series, ticks)}, {...axis, size: 56, values: (_, ticks) => ticks.map(tick => shown(name, tick))}],
        series: [{label: "From", value: "{D} {MMM} {HH}:{mm}"}, ...layers],
        legend: {live: true},
    };
}

function draw() {
    const source = document.getElementById("series");
    for (const plot of plots.values()) plot.destroy();
    plots.clear();
    if (!source || typeof uPlot === "undefined") return;
    const series = JSON.parse(source.textContent);
    if (!series.layers.length) return;
    for (const box of document.querySelectorAll(".plot[data-series]")) {
        const name = box.dataset.series;
        plots.set(name, new uPlot(options(name, series, box), [series.at, ...stacked(series[name])], box));
    }
}

// A refresh leaves the charts' boxes to us, and open what the reader opened.
function keepWhatIsOurs() {
    const callbacks = Idiomorph.defaults.callbacks;
    callbacks.beforeNodeMorphed = old => !(old.classList && old.classList.contains("plot"));
    callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");
}

document.addEventListener("DOMContentLoaded", () => {
    keepWhatIsOurs();
    draw();
    document.body.addEventListener("htmx:afterSettle", draw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    new MutationObserver(draw).observe(document.documentElement, {attributeFilter: ["data-theme"]});
    let width = innerWidth;
    addEventListener("resize", () => {
        if (innerWidth !== width) draw();
        width = innerWidth;
    });
});
