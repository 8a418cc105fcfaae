// The service's addresses: a request with the key where there is one, tried again where there was no room.

const TRIES = 20;
let key = sessionStorage.getItem("key");

export class Problem extends Error {}

function headers(type) {
  const said = type ? { "Content-Type": type } : {};
  if (key) said.Authorization = `Bearer ${key}`;
  return said;
}

// A new key, unless one came since `tried` was found wrong; closing the dialog without one gives up.
async function askForKey(tried) {
  if (key !== tried) return;
  const dialog = document.getElementById("key");
  document.getElementById("key-wrong").hidden = !tried;
  if (!dialog.open) {
    dialog.returnValue = "";
    dialog.showModal();
  }
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (!dialog.returnValue) throw new Problem("This service asks for a key: load the page again to give it.");
  const field = document.getElementById("key-text");
  if (field.value) {
    key = field.value.trim();
    sessionStorage.setItem("key", key);
    field.value = "";
  }
}

async function ask(path, options) {
  for (let times = 0; times < TRIES; times++) {
    let response;
    const tried = key;
    try {
      response = await fetch(path, { ...options, headers: headers(options.type) });
    } catch {
      throw new Problem("The service cannot be reached.");
    }
    if (response.status === 401) {
      await askForKey(tried);
      continue;
    }
    if (response.status === 503) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds * (0.5 + Math.random())));
      continue;
    }
    if (!response.ok) {
      const said = await response.json().catch(() => ({}));
      throw new Problem((said.error || `The service answered ${response.status}.`).replace(/^picture: /, ""));
    }
    return response;
  }
  throw new Problem("The service is busy: try again later.");
}

export async function model() {
  return (await ask("model", {})).json();
}

export async function send(path, file) {
  const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  return (await ask(path, { method: "POST", body: file, type })).json();
}

export async function picture(path) {
  return URL.createObjectURL(await (await ask(path, {})).blob());
}
