/* Plates: pictures of the book that one plays with, without a kernel. This file has what all of them use; chapters.js
has the plates, and plates.py computes their data.

A plate is {controls, value, draw, drag, act}. `value` is a pure function from the settings, one number for each control,
to numbers, and `draw` draws these, so that a test of `value` is a test of the plate. Where `drag` is given, it says what
the settings become when the pointer is at (x, y); `act` is a button. From outside: plate.value(name, settings). */

"use strict";
(() => {
const plates = {};

// ---- numbers

const sum = list => list.reduce((total, x) => total + x, 0);
const mean = list => sum(list) / list.length;
const range = (low, high, num) => Array.from({ length: num }, (_, i) => low + (high - low) * i / (num - 1));
const logSumExp = list => { const top = Math.max(...list); return top + Math.log(sum(list.map(x => Math.exp(x - top)))); };
const logNormal = (x, mean, sd) => -0.5 * ((x - mean) / sd) ** 2 - Math.log(sd) - 0.5 * Math.log(2 * Math.PI);
const sigmoid = x => 1 / (1 + Math.exp(-x));
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const fixed = (x, digits = 2) => (Math.abs(x) < 0.5 * 10 ** -digits ? 0 : x).toFixed(digits).replace("-", "−");

/* The numbers of a plate that are kept as text: unpacked once. */
const unpacked = {};
function unpack(name, key, Type = Int16Array) {
    const bytes = () => Uint8Array.from(atob(PLATES[name][key]), letter => letter.charCodeAt(0));
    return unpacked[`${name} ${key}`] ??= new Type(bytes().buffer);
}

// ---- drawing: one <svg>, in pixels of the page, so that letters keep their size on a phone

function element(name, attributes = {}, text = "") {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return node;
}

/* A pair of axes in the box (left, top, width, height) of the svg; `kind` of a mark is a class of the style sheet. */
class Axes {
    constructor(svg, box, x, y, xlabel, ylabel, { equal = false, bare = false, say = plain } = {}) {
        Object.assign(this, { svg, box, x, y });
        if (equal) {  // one unit is as long across as up
            const unit = Math.min(box.width / (x[1] - x[0]), box.height / (y[1] - y[0]));
            const [midX, midY] = [mean(x), mean(y)];
            this.x = [midX - box.width / unit / 2, midX + box.width / unit / 2];
            this.y = [midY - box.height / unit / 2, midY + box.height / unit / 2];
        }
        const { left, top, width, height } = box;
        const clip = `clip-${Axes.count++}`;
        svg.append(element("clipPath", { id: clip }));
        svg.lastChild.append(element("rect", { x: left, y: top, width, height }));
        this.inside = element("g", { "clip-path": `url(#${clip})` });
        svg.append(element("rect", { class: "frame", x: left, y: top, width, height }));
        if (!bare) {
            for (const t of ticks(this.x, width / 37)) this.label(this.toX(t), top + height + 15, say(t));
            for (const t of ticks(this.y, height / 45)) this.label(left - 5, this.toY(t) + 4, plain(t), "tick", "end");
        }
        svg.append(this.inside);
        this.label(left + width, top + height + 31, xlabel, "name", "end");
        this.label(left, top - 7, ylabel, "name", "start");
    }
    toX(x) { return this.box.left + (x - this.x[0]) / (this.x[1] - this.x[0]) * this.box.width; }
    toY(y) { return this.box.top + (this.y[1] - y) / (this.y[1] - this.y[0]) * this.box.height; }
    fromPixels(px, py) {
        return [this.x[0] + (px - this.box.left) / this.box.width * (this.x[1] - this.x[0]),
            this.y[1] - (py - this.box.top) / this.box.height * (this.y[1] - this.y[0])];
    }
    label(px, py, text, kind = "tick", anchor = "middle") {
        this.svg.append(element("text", { class: kind, x: px, y: py, "text-anchor": anchor }, text));
    }
    text(x, y, text, kind, anchor = "middle", dy = -8) {
        this.inside.append(element("text", { class: `word ${kind}`, x: this.toX(x), y: this.toY(y) + dy, "text-anchor": anchor }, text));
    }
    legend(rows, { right = false, down = 18 } = {}) {  // names in the colours of what they name
        const { left, top, width } = this.box;
        rows.forEach(([text, kind], i) =>
            this.label(right ? left + width - 8 : left + 8, top + down + 17 * i, text, `word ${kind}`, right ? "end" : "start"));
    }
    line(xs, ys, kind) {
        const points = xs.map((x, i) => `${this.toX(x).toFixed(1)},${clamp(this.toY(ys[i]), -1e4, 1e4).toFixed(1)}`);
        this.inside.append(element("polyline", { class: `line ${kind}`, points: points.join(" ") }));
    }
    area(xs, ys, kind, base = 0) { this.line([xs[0], ...xs, xs.at(-1)], [base, ...ys, base], `area ${kind}`); }
    dot(x, y, kind, r = 3, opacity = 1) {
        this.inside.append(element("circle", { class: `dot ${kind}`, cx: this.toX(x), cy: this.toY(y), r, opacity }));
    }
    handle(x, y, kind) {  // what one takes hold of
        const at = { cx: this.toX(x), cy: this.toY(y) };
        this.svg.append(element("circle", { ...at, class: `dot ${kind} knob`, r: 7 }), element("circle", { ...at, class: "hold", r: 22 }));
        this.svg.axes = this;
    }
    ellipse(mean, cov, kind, radius = 2) {  // of [a, b, c] = [[a, b], [b, c]]
        const l = Math.sqrt(cov[0]), m = cov[1] / l, n = Math.sqrt(Math.max(cov[2] - m * m, 0));
        const around = range(0, 2 * Math.PI, 91);
        this.line(around.map(t => mean[0] + radius * l * Math.cos(t)),
            around.map(t => mean[1] + radius * (m * Math.cos(t) + n * Math.sin(t))), kind);
    }
    cell(x, y, width, height, kind, opacity) {
        this.inside.append(element("rect", { class: `dot ${kind}`, x: this.toX(x - width / 2), y: this.toY(y + height / 2), opacity,
            width: this.toX(width) - this.toX(0) + 0.5, height: this.toY(0) - this.toY(height) + 0.5 }));
    }
    image(values, side, x0, y0, x1, y1) {  // (side * side) numbers between 0 and 1, in rows
        const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
        const context = canvas.getContext("2d"), pixels = context.createImageData(side, side);
        values.forEach((v, i) => pixels.data.set([...Array(3).fill(255 - 255 * clamp(v, 0, 1)), 255], 4 * i));
        context.putImageData(pixels, 0, 0);
        this.inside.append(element("image", { href: canvas.toDataURL(), x: this.toX(x0), y: this.toY(y1),
            width: this.toX(x1) - this.toX(x0), height: this.toY(y0) - this.toY(y1), class: "pixels" }));
    }
}
Axes.count = 0;

function ticks([low, high], most) {
    const rough = (high - low) / Math.max(most, 2), power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find(m => m * power >= rough);
    return Array.from({ length: Math.floor(high / step) - Math.ceil(low / step) + 1 }, (_, i) => (Math.ceil(low / step) + i) * step);
}
const digitsOf = t => [0, 1, 2].find(d => Math.abs(10 ** d * t - Math.round(10 ** d * t)) < 1e-7) ?? 3;
const plain = t => fixed(t, digitsOf(t));

/* Boxes for n pictures: side by side where the page is wide, one below the other on a phone. */
function boxes(svg, n, height = 260) {
    const page = Math.max(svg.clientWidth, 240), wide = page > 560 && n > 1, width = wide ? page / n : page;
    const total = (wide ? 1 : n) * (height + 66);
    svg.setAttribute("height", total);
    svg.setAttribute("viewBox", `0 0 ${page} ${total}`);
    return Array.from({ length: n }, (_, i) => ({ left: 44 + (wide ? i * width : 0), top: 24 + (wide ? 0 : i * (height + 66)),
        width: width - 56, height }));
}

/* Two squares side by side, on a phone too; the first has this share of a page that is narrow. */
function pair(svg, largest = 240, share = 0.5) {
    const page = Math.max(svg.clientWidth, 240), sides = [share, 1 - share].map(part => Math.min(largest, (page - 20) * part));
    const left = (page - 20 - sides[0] - sides[1]) / 2, total = sides[0] + 36;
    svg.setAttribute("height", total);
    svg.setAttribute("viewBox", `0 0 ${page} ${total}`);
    return sides.map((side, i) => ({ left: left + i * (sides[0] + 20), top: 24, width: side, height: side }));
}

// ---- controls

function show(figure) {
    const name = figure.dataset.plate, plate = plates[name], settings = {};
    const form = document.createElement("div"), words = document.createElement("output");
    const svg = element("svg", { role: "img", "aria-label": figure.querySelector("figcaption").textContent });
    const draw = () => {
        svg.drawnAt = svg.clientWidth;
        svg.replaceChildren();
        words.textContent = plate.draw(svg, settings, plate.value(settings));
    };
    const inputs = plate.controls.map(({ key, label, low, high, step, start, say }) => {
        const row = document.createElement("label"), input = document.createElement("input"), shown = document.createElement("span");
        Object.assign(input, { type: "range", min: low, max: high, step, value: start, name: key });
        const read = () => {
            settings[key] = +input.value;
            shown.textContent = say ? say(settings[key]) : fixed(settings[key], digitsOf(step));
            input.setAttribute("aria-valuetext", shown.textContent);
        };
        input.addEventListener("input", () => { read(); draw(); });
        read();
        row.append(label, input, shown);
        form.append(row);
        return { input, read };
    });
    const set = changes => {
        inputs.forEach(({ input, read }) => { if (input.name in changes) { input.value = changes[input.name]; read(); } });
        draw();
    };
    const move = event => {  // the pointer holds the handle, or has touched a place
        const frame = svg.getBoundingClientRect(), there = svg.axes.fromPixels(event.clientX - frame.left, event.clientY - frame.top);
        set(plate.drag(...there, settings));
    };
    if (plate.drag) {
        svg.classList.add("drags");
        let held = false;
        svg.addEventListener("pointerdown", event => {
            held = event.pointerType === "mouse" || event.target.classList.contains("hold");
            if (held) { svg.setPointerCapture(event.pointerId); move(event); }
        });
        svg.addEventListener("pointermove", event => { if (held) move(event); });
        svg.addEventListener("pointerup", event => { if (!held) move(event); held = false; });
        svg.addEventListener("pointercancel", () => { held = false; });
    }
    if (plate.act) {
        const button = Object.assign(document.createElement("button"), { type: "button", textContent: plate.act.label });
        button.addEventListener("click", () => set(plate.act.change(settings)));
        form.append(button);
    }
    words.setAttribute("aria-live", "polite");
    figure.append(svg, words, form);
    draw();
    new ResizeObserver(() => { if (svg.clientWidth !== svg.drawnAt) draw(); }).observe(figure);
}

window.plate = {
    value: (name, settings) => plates[name].value(settings),
    controls: name => plates[name].controls,
    plates,
    tools: { sum, mean, range, logSumExp, logNormal, sigmoid, fixed, plain, unpack, Axes, boxes, pair },
};
document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("figure.plate").forEach(show));

})();
