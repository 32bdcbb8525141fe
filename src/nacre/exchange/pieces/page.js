// What is in the form, or drawn, goes through the network, and the answer is shown. Text of others is only ever put in as text.

const page = JSON.parse(document.getElementById("description").textContent);
const network = new Network(page.network, document.getElementById("weights").textContent);
const form = document.getElementById("form");
const SHOWN = 12; // classes, the likeliest where there are more

// ---------------------------------------------------------------- what is shown

function element(tag, name, ...inside) {
  const one = document.createElement(tag);
  if (name) one.className = name;
  one.append(...inside);
  return one;
}

function tell(message) {
  document.getElementById("error").textContent = message;
}

function figures(values) {
  return Array.from(values, (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(6))) : String(value))).join(", ");
}

function bars(values, classes) {
  const likely = classes.map((_, n) => n).sort((a, b) => values[b] - values[a] || a - b);
  const order = likely.length > SHOWN ? likely.slice(0, SHOWN) : classes.map((_, n) => n);
  const items = order.map((n) => {
    const bar = element("div");
    bar.style.width = `${100 * values[n]}%`;
    const share = `${(100 * values[n]).toFixed(1)} %`;
    return element("li", n === likely[0] ? "best" : "", element("span", "name", classes[n]), element("div", "bar", bar), element("span", "share", share));
  });
  return [element("p", "said", classes[likely[0]]), element("ul", "bars", ...items)];
}

function show(found) {
  const parts = page.outputs.map((output, n) => {
    const title = page.outputs.length === 1 ? [] : [element("h3", "", output.name)];
    const named = output.classes && output.classes.length === found[n].length;
    return element("div", "", ...title, ...(named ? bars(found[n], output.classes) : [element("p", "said", figures(found[n]))]));
  });
  document.getElementById("answer").replaceChildren(...parts);
  const said = parts.map((part) => [...part.querySelectorAll("h3, .said")].map((one) => one.textContent).join(": ")).join("; ");
  const spoken = document.getElementById("spoken"); // what is the same is not said again
  if (spoken.textContent !== said) spoken.textContent = said;
}

function ask() {
  tell("");
  try {
    show(network.predict(row()));
  } catch (error) {
    document.getElementById("answer").replaceChildren();
    tell(error.message);
  }
}

/** What is in the form, as numbers for each input. */
function row() {
  return { table: encoded, pad: () => [drawn()], file: () => [chosen()], numbers: typed }[page.kind]();
}

// ---------------------------------------------------------------- numbers, and tables

function typed() {
  return page.network.inputs.map(({ name, shape }, n) => {
    const found = form.elements[n].value.split(/[\s,;]+/).filter(Boolean).map(Number);
    if (found.some(Number.isNaN)) throw new Error("There is something between the commas that is no number.");
    if (found.length !== size(shape)) throw new Error(`${name} has ${found.length} numbers, expected ${size(shape)}.`);
    return found;
  });
}

const FAR = 8; // standard deviations, beyond which a number is cut
const clip = (x) => Math.min(Math.max(x, -FAR), FAR);

/** What features make of the fields, as they do it in training: numbers about 0, and numbers of terms. */
function encoded() {
  const found = { numbers: [], categories: [] };
  let first = 0;
  page.features.forEach((feature, n) => {
    const text = form.elements[n].value;
    if (feature.kind === "category") {
      found.categories.push(first + term(feature, text));
      first += feature.terms.length + 2;
    } else {
      const numbers = feature.kind === "date" ? dated(feature, text) : scaled(feature, text);
      found.numbers.push(...numbers, ...(feature.holes ? [text === "" ? 1 : 0] : []));
    }
  });
  return page.network.inputs.map(({ name }) => found[name]);
}

function scaled({ log, mean, scale }, text) {
  if (text === "") return [0];
  const x = Number(text);
  return [clip(((log ? Math.log1p(Math.max(x, 0)) : x) - mean) / scale)];
}

function dated({ hours, mean, scale }, text) {
  const turns = hours ? 4 : 3;
  if (text === "") return new Array(1 + 2 * turns).fill(0);
  const moment = new Date(hours ? `${text}Z` : text);
  const days = moment.getTime() / 864e5;
  const week = (((Math.floor(days) + 3) % 7) + 7) % 7;
  const parts = [moment.getUTCMonth() / 12, (moment.getUTCDate() - 1) / 31, week / 7, days - Math.floor(days)];
  const waves = parts.slice(0, turns).flatMap((turn) => [Math.sin(2 * Math.PI * turn), Math.cos(2 * Math.PI * turn)]);
  return [clip((days - mean) / scale), ...waves];
}

function term({ terms, fold }, text) {
  if (text === "") return 1;
  const word = fold ? text.toLowerCase() : text;
  const whole = /^-?\d+\.0+$/.test(word) ? word.replace(/\.0+$/, "") : word;
  const at = terms.includes(word) ? terms.indexOf(word) : terms.indexOf(whole);
  return at < 0 ? 0 : at + 2;
}

// ---------------------------------------------------------------- pictures

const pad = document.getElementById("pad");
const seen = document.getElementById("seen");

/** The mean ink, from 0 to 1, of each of rows x columns fields. A digit is brought to the size and the place that it has in the
 * data: a box of `box` fields, with its center of mass, or the middle of the box, in the middle of the picture. */
function shades(ink, width, height, { rows, columns, box, mass }) {
  let [left, right, top, bottom, sum, sumX, sumY] = [width, 0, height, 0, 0, 0, 0];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const shade = ink[y * width + x];
      if (!shade) continue;
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x + 1), Math.min(top, y), Math.max(bottom, y + 1)];
      [sum, sumX, sumY] = [sum + shade, sumX + shade * (x + 0.5), sumY + shade * (y + 0.5)];
    }
  const found = new Array(rows * columns).fill(0);
  if (!sum) return found;
  const across = box ? Math.max(right - left, bottom - top) / box : width / columns; // of the drawing, for each field
  const down = box ? across : height / rows;
  const [x0, y0] = !box ? [width / 2, height / 2] : mass ? [sumX / sum, sumY / sum] : [(left + right) / 2, (top + bottom) / 2];
  const fine = 6; // looks into each field, in both directions
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) {
      for (let n = 0; n < fine * fine; n++) {
        const x = Math.floor(x0 + (c + ((n % fine) + 0.5) / fine - columns / 2) * across);
        const y = Math.floor(y0 + (r + (Math.floor(n / fine) + 0.5) / fine - rows / 2) * down);
        if (x >= 0 && x < width && y >= 0 && y < height) found[r * columns + c] += ink[y * width + x];
      }
    }
  return found.map((ink) => ink / (fine * fine));
}

function drawn() {
  const { width, height } = pad;
  const { data } = pad.getContext("2d").getImageData(0, 0, width, height);
  const ink = Float64Array.from({ length: width * height }, (_, n) => data[4 * n] / 255);
  const found = shades(ink, width, height, page.picture);
  const pen = seen.getContext("2d");
  const image = pen.createImageData(seen.width, seen.height);
  found.forEach((shade, n) => image.data.set([255 * shade, 255 * shade, 255 * shade, 255], 4 * n));
  pen.putImageData(image, 0, 0);
  const { most, whole } = page.picture;
  return found.map((shade) => (whole ? Math.round(shade * most) : shade * most));
}

/** The picture that was chosen, cut, padded or stretched, as bytes. */
function chosen() {
  const { rows, columns, colors } = page.picture;
  const { data } = seen.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, columns, rows);
  return Array.from({ length: rows * columns }, (_, n) => {
    const [r, g, b] = data.subarray(4 * n, 4 * n + 3);
    return colors === 3 ? [r, g, b] : [Math.round(0.299 * r + 0.587 * g + 0.114 * b)];
  }).flat();
}

async function take(file) {
  if (!file) return;
  try {
    const image = await createImageBitmap(file);
    const { rows, columns, fit } = page.picture;
    const pen = seen.getContext("2d", { willReadFrequently: true });
    const ratio = (fit === "pad" ? Math.min : Math.max)(columns / image.width, rows / image.height);
    const [width, height] = fit === "stretch" ? [columns, rows] : [image.width * ratio, image.height * ratio];
    pen.fillStyle = fit === "pad" ? "#000" : "#fff";
    pen.fillRect(0, 0, columns, rows);
    pen.imageSmoothingQuality = "high";
    pen.fillStyle = "#fff"; // what is transparent is white
    pen.fillRect((columns - width) / 2, (rows - height) / 2, width, height);
    pen.drawImage(image, (columns - width) / 2, (rows - height) / 2, width, height);
    ask();
  } catch {
    tell("This is no picture that the browser can read.");
  }
}

function draw() {
  const pen = pad.getContext("2d", { willReadFrequently: true });
  const cursor = document.getElementById("cursor");
  const step = pad.width / page.picture.columns;
  let at = [pad.width / 2, pad.height / 2];
  let drawing = false;
  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => ((waiting = false), ask()));
  };
  const clear = () => {
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, pad.width, pad.height);
    drawn();
    document.getElementById("answer").replaceChildren(element("p", "soft", "Nothing is drawn yet."));
  };
  const line = (to) => {
    pen.strokeStyle = "#fff";
    pen.lineWidth = step * (page.picture.columns >= 20 ? 2.2 : 1);
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(...at);
    pen.lineTo(to[0] + 0.01, to[1]);
    pen.stroke();
    at = to;
    later();
  };
  const place = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) * pad.width) / box.width, ((event.clientY - box.top) * pad.height) / box.height];
  };
  pad.addEventListener("pointerdown", (event) => {
    drawing = true;
    cursor.hidden = true;
    pad.setPointerCapture(event.pointerId);
    at = place(event);
    line(at);
  });
  pad.addEventListener("pointermove", (event) => drawing && line(place(event)));
  for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, () => (drawing = false));
  pad.addEventListener("keydown", (event) => {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!arrow && event.key !== " ") return;
    event.preventDefault();
    const [dx, dy] = arrow ?? [0, 0];
    const to = [Math.min(Math.max(at[0] + dx * step, 0), pad.width), Math.min(Math.max(at[1] + dy * step, 0), pad.height)];
    if (event.shiftKey || event.key === " ") line(to);
    else at = to;
    cursor.hidden = false;
    [cursor.style.left, cursor.style.top] = [`${(100 * at[0]) / pad.width}%`, `${(100 * at[1]) / pad.height}%`];
  });
  document.getElementById("clear").addEventListener("click", clear);
  clear();
}

form.addEventListener("submit", (event) => event.preventDefault());
if (page.kind === "pad") {
  draw();
} else if (page.kind === "file") {
  document.getElementById("file").addEventListener("change", (event) => take(event.target.files[0]));
} else {
  form.addEventListener("input", ask);
  ask();
}
