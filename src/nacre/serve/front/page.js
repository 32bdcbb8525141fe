// Asks the server for a prediction of what is in the form, and shows it. Text of others is only ever put in as text.

const form = document.getElementById("form");
const { model, kind } = form.dataset;
const [shape, sizes, outputs] = ["form", "sizes", "outputs"].map((name) => JSON.parse(form.dataset[name]));
const pad = document.getElementById("pad");
const shown = 12; // classes, the likeliest
let file = null; // the picture that was chosen, in base64, as long as nobody draws on it

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});

// ---------------------------------------------------------------- what is asked

function instance() {
  if (kind === "table") return row();
  if (kind === "file") return file && { b64: file };
  if (kind === "pad") return shape.most ? pixels() : { b64: file ?? pad.toDataURL("image/png").split(",")[1] };
  const inputs = sizes.map((one, n) => numbers(form.elements[n].value, one));
  return inputs.length === 1 ? inputs[0] : Object.fromEntries(sizes.map((one, n) => [one.name, inputs[n]]));
}

function row() {
  const fields = [...form.querySelectorAll("[data-column]")];
  return Object.fromEntries(
    fields.map((f) => [f.dataset.column, f.value === "" ? null : f.type === "number" ? f.valueAsNumber : f.value]),
  );
}

function numbers(text, one) {
  const found = text.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (found.some(Number.isNaN)) throw new Error("There is something between the commas that is no number.");
  if (found.length !== one.size) throw new Error(`${one.name} has ${found.length} numbers, expected ${one.size}.`);
  return nested(found, one.shape);
}

function nested(flat, dimensions) {
  if (dimensions.length === 0) return flat[0];
  if (dimensions.length === 1) return flat;
  const step = flat.length / dimensions[0];
  return Array.from({ length: dimensions[0] }, (_, n) => nested(flat.slice(n * step, (n + 1) * step), dimensions.slice(1)));
}

async function ask() {
  tell("");
  try {
    const one = instance();
    if (one === null) throw new Error("Choose a picture first.");
    const answer = await fetch(`/v1/models/${encodeURIComponent(model)}:predict`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ instances: [one] }),
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error);
    show(said.predictions[0]);
  } catch (error) {
    document.getElementById("answer").replaceChildren();
    tell(error.message);
  }
}

// ---------------------------------------------------------------- what is answered

function tell(message) {
  document.getElementById("error").textContent = message;
}

function element(tag, name, text, ...inside) {
  const one = document.createElement(tag);
  if (name) one.className = name;
  if (text) one.textContent = text;
  one.append(...inside);
  return one;
}

function show(prediction) {
  const parts = outputs.map((output) => {
    const values = outputs.length === 1 ? prediction : prediction[output.key];
    const title = outputs.length === 1 ? [] : [element("h2", "", output.name)];
    return element("div", "", "", ...title, ...(output.classes ? bars(values, output.classes) : [element("p", "said", figures(values))]));
  });
  document.getElementById("answer").replaceChildren(...parts);
}

function figures(values) {
  return [values].flat(Infinity).map((value) => value.toPrecision(6).replace(/\.?0+$/, "")).join(", ");
}

function bars(values, classes) {
  const order = values.map((_, n) => n).sort((a, b) => values[b] - values[a] || a - b).slice(0, shown);
  const items = order.map((n) => {
    const bar = element("div");
    bar.style.width = `${100 * values[n]}%`;
    const share = values[n] > 0 && values[n] < 0.0005 ? "< 0.1 %" : `${(100 * values[n]).toFixed(1)} %`;
    return element("li", "", "", element("span", "name", classes[n]), element("div", "bar", "", bar), element("span", "share", share));
  });
  return [element("p", "said", classes[order[0]]), element("ul", "bars", "", ...items)];
}

// ---------------------------------------------------------------- pictures

if (kind === "pad" || kind === "file") {
  const drop = document.getElementById("drop");
  document.getElementById("file").addEventListener("change", (event) => take(event.target.files[0]));
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop") take(event.dataTransfer.files[0]);
    });
  }
}

function take(picture) {
  if (!picture) return;
  const reader = new FileReader();
  reader.onload = () => {
    const image = kind === "pad" ? new Image() : document.getElementById("shown");
    image.onload = () => {
      if (kind === "pad") {
        pad.getContext("2d").drawImage(image, 0, 0, pad.width, pad.height);
      } else {
        image.alt = picture.name;
        image.hidden = false;
      }
      ask();
    };
    image.onerror = () => tell("This is no picture that the browser can read.");
    file = reader.result.split(",")[1];
    image.src = reader.result;
  };
  reader.readAsDataURL(picture);
}

if (kind === "pad") {
  const pen = pad.getContext("2d", { willReadFrequently: true });
  const at = { x: pad.width / 2, y: pad.height / 2 };
  let drawing = false;
  const clear = () => {
    file = null;
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, pad.width, pad.height);
  };
  const line = (x, y) => {
    file = null;
    pen.strokeStyle = "#fff";
    pen.lineWidth = Math.max(1, pad.width / 14);
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(at.x, at.y);
    pen.lineTo(x, y + 0.01);
    pen.stroke();
    [at.x, at.y] = [x, y];
  };
  const place = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) * pad.width) / box.width, ((event.clientY - box.top) * pad.height) / box.height];
  };
  clear();
  pad.addEventListener("pointerdown", (event) => {
    drawing = true;
    pad.setPointerCapture(event.pointerId);
    [at.x, at.y] = place(event);
    line(at.x, at.y);
  });
  pad.addEventListener("pointermove", (event) => drawing && line(...place(event)));
  pad.addEventListener("pointerup", () => {
    drawing = false;
    ask();
  });
  pad.addEventListener("keydown", (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (event.key === " ") {
      drawing = !drawing; // the pen goes down, or up
      if (drawing) line(at.x, at.y);
      else ask();
    } else if (dx || dy) {
      const [x, y] = [Math.min(Math.max(at.x + dx, 0), pad.width - 1), Math.min(Math.max(at.y + dy, 0), pad.height - 1)];
      if (drawing) line(x, y);
      else [at.x, at.y] = [x, y];
    } else return;
    event.preventDefault();
  });
  document.getElementById("clear").addEventListener("click", () => {
    clear();
    document.getElementById("answer").replaceChildren();
  });
  document.getElementById("turn").addEventListener("click", () => {
    file = null;
    pen.globalCompositeOperation = "difference";
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, pad.width, pad.height);
    pen.globalCompositeOperation = "source-over";
    ask();
  });
}

function pixels() {
  const { data } = pad.getContext("2d").getImageData(0, 0, pad.width, pad.height);
  const flat = Array.from({ length: pad.width * pad.height }, (_, n) => {
    const grey = (0.299 * data[4 * n] + 0.587 * data[4 * n + 1] + 0.114 * data[4 * n + 2]) / 255;
    return Math.round(grey * shape.most * 1e6) / 1e6;
  });
  return nested(flat, sizes[0].shape);
}
