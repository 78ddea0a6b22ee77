// The proxy's JSON interface and its stream of events. The token, where one is needed, lives in
// this tab only and is sent as a header, never in an address.

const KEY = "crossfade-token";
let ask = null;

/** Called when a token is needed; resolves when there may be one. */
export function onToken(callback) { ask = callback; }

export function setToken(token) { sessionStorage.setItem(KEY, token); }

function headers(more) {
  const token = sessionStorage.getItem(KEY);
  return { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...more };
}

/** An answer that is an error: the status, and the body's code, message, hint, gates. */
export class Refusal extends Error {
  constructor(status, body) {
    super(body?.error?.message ?? `HTTP ${status}`);
    this.status = status;
    this.hint = body?.error?.hint ?? null;
    this.gates = body?.gates ?? [];
  }
}

async function call(path, options) {
  const response = await fetch(`/api/v1/${path}`, { ...options, headers: headers(options?.headers) });
  if (response.status === 401 && ask) {
    await ask();
    return call(path, options);
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refusal(response.status, body);
  return body;
}

export const get = path => call(path);

export const post = (path, body) => call(path, {
  method: "POST", body: JSON.stringify(body ?? {}), headers: { "Content-Type": "application/json" },
});

/** Every page of a list. */
export async function all(path, name, limit = 5000) {
  const rows = [];
  let body, cursor = null;
  do {
    body = await get(cursor ? `${path}?cursor=${encodeURIComponent(cursor)}` : path);
    rows.push(...body[name]);
    cursor = body.next_cursor;
  } while (cursor && rows.length < limit);
  return { ...body, [name]: rows };
}

/** Listens to the stream for ever: `on(event, data)`, and `on("lost")` while there is none. */
export async function listen(on) {
  for (;;) {
    try {
      const response = await fetch("/api/v1/stream", { headers: headers() });
      if (response.status === 401 && ask) { await ask(); continue; }
      if (!response.ok) throw new Refusal(response.status, null);
      await read(response.body.pipeThrough(new TextDecoderStream()).getReader(), on);
    } catch { /* told below; the next try says more */ }
    on("lost", null);
    await new Promise(done => { setTimeout(done, 1000); });
  }
}

async function read(reader, on) {
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const of = name => lines.filter(l => l.startsWith(name)).map(l => l.slice(name.length).trim()).join("\n");
      if (of("data:")) on(of("event:"), JSON.parse(of("data:")));
    }
  }
}
