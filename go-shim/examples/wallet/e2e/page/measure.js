// Finds what people could not read or use. The value of the expression is what browser_test.go calls a layout.
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const over = (top, below) => top.slice(0, 3).map((v, i) => (v * top[3] + below[i] * (255 - top[3])) / 255);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => { const [low, high] = [light(a), light(b)].sort((x, y) => x - y); return (high + 0.05) / (low + 0.05); };
  const ground = (node) => {
    const layers = [];
    for (let n = node; n; n = n.parentElement) layers.push(rgba(getComputedStyle(n).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const seen = (node) => node.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const faint = [], cut = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.nodeValue.trim(), node = walker.currentNode.parentElement;
    if (!text || !seen(node) || /^(SCRIPT|OPTION)$/.test(node.tagName)) continue;
    const below = ground(node), style = getComputedStyle(node), found = contrast(over(rgba(style.color), below), below);
    if (found < 4.5) faint.push(`${text} (${found.toFixed(2)})`);
    if (style.overflowX === "hidden" && node.scrollWidth > node.clientWidth) cut.push(text);
  }
  const unnamed = [...document.querySelectorAll("button, select, input")].filter((node) => seen(node) &&
    !(node.getAttribute("aria-label") || node.textContent.trim() && node.tagName === "BUTTON" || node.labels && node.labels.length)).map((node) => node.outerHTML);
  return { sideways: document.documentElement.scrollWidth - innerWidth, faint, cut, unnamed };
})()
