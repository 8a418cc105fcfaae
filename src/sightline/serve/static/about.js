// The model card: what the network is, what it was trained on, how well it did, and where it errs.

const count = new Intl.NumberFormat("en");
const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const CONFUSED = 8;

export function describe(card) {
  const { metrics, trained_on: data, figures, limits } = card;
  const rows = [
    ["Network", `${card.arch}, ${count.format(figures.parameters)} parameters`],
    ["Version", card.model.version],
    ["Trained on", data && `${data.name}: ${count.format(data.counts.train ?? 0)} pictures (fingerprint ${data.fingerprint.slice(0, 12)})`],
    ["Right on validation", metrics.validation && `${percent.format(metrics.validation.top1)} of the pictures`],
    ["Calibration error", metrics.calibration && percent.format(metrics.calibration.after.ece)],
    ["Sees", `${card.preprocess.size} x ${card.preprocess.size} pixels`],
    ["Look-alikes in", card.index && `${card.index.name}, ${count.format(card.index.pictures)} pictures`],
    ["Takes", `up to ${limits.files} pictures and ${Math.round(limits.body_bytes / 1e6)} MB a request`],
  ].filter(([, value]) => value);
  const list = document.createElement("dl");
  for (const [term, value] of rows) list.append(node("dt", term), node("dd", value));
  const parts = [list, node("h3", `${count.format(card.classes.length)} classes`), classes(card.classes)];
  const confused = (metrics.confusion ?? []).filter(([is, said]) => is !== said).sort((a, b) => b[2] - a[2]).slice(0, CONFUSED);
  if (confused.length) {
    const rows = confused.map(([is, said, times]) => node("li", `${card.classes[is]}, called ${card.classes[said]}: ${times}`));
    const mistakes = document.createElement("ul");
    mistakes.append(...rows);
    parts.push(node("h3", "Mistaken most often, on validation"), mistakes);
  }
  document.getElementById("card").replaceChildren(...parts);
}

function classes(names) {
  const list = document.createElement("ul");
  list.className = "names";
  list.append(...names.map((name) => node("li", name)));
  return list;
}

function node(kind, text) {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}
