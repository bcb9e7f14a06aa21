"use strict";
// Runs in the page that holds the report in frames of several widths; leaves what it finds as JSON in #measured.

const overlap = (a, b) =>
  Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2;

function shapes(view, svg) {
  const all = [...svg.querySelectorAll("path.line, path.mark, line.spread, line.limit, rect.noise")];
  const seen = (shape) => {
    const style = view.getComputedStyle(shape);
    const painted = [style.stroke, style.fill].some((paint) => paint !== "none" && paint !== "rgba(0, 0, 0, 0)");
    const box = shape.getBoundingClientRect();
    const length = shape.tagName === "rect" ? 1 : shape.getTotalLength();
    // The spread of a ratio may be nothing.
    const sized = shape.classList.contains("spread") || (length > 0 && Math.max(box.width, box.height) > 0);
    return painted && sized && style.visibility === "visible";
  };
  return { visible: all.filter(seen).length, invisible: all.filter((shape) => !seen(shape)).map((shape) => shape.outerHTML) };
}

function chart(view, svg) {
  const frame = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")].map((text) => ({ words: text.textContent, box: text.getBoundingClientRect() }));
  const overlaps = texts.flatMap((a, index) =>
    texts.slice(index + 1).filter((b) => overlap(a.box, b.box)).map((b) => `${a.words} | ${b.words}`));
  const outside = texts.filter(({ box }) =>
    box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1);
  const found = shapes(view, svg);
  return {
    id: svg.id,
    width: frame.width,
    height: frame.height,
    texts: texts.length,
    shapes: found.visible,
    invisible: found.invisible,
    overlaps,
    outside: outside.map(({ words }) => words),
    smallest_text: Math.min(...texts.map(({ box }) => box.height)),
  };
}

function layout(frame) {
  const view = frame.contentWindow;
  const page = frame.contentDocument;
  page.querySelectorAll("details").forEach((details) => { details.open = true; });
  return {
    width: view.innerWidth,
    scroll_width: page.documentElement.scrollWidth,
    resources: view.performance.getEntriesByType("resource").map((entry) => entry.name),
    window_rows: page.querySelectorAll("#windows tbody tr").length,
    charts: [...page.querySelectorAll("svg.chart")].map((svg) => chart(view, svg)),
  };
}

window.onload = () => {
  const found = [...document.querySelectorAll("iframe")].map(layout);
  document.getElementById("measured").textContent = JSON.stringify(found);
};
