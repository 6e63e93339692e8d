// Where bytes come from: the page itself, or the server that it came from. Both have one face:
// block(name) → Promise<Uint8Array>.

/** What the page was told at once. */
export function readMeta() {
  return JSON.parse(document.getElementById("meta").textContent);
}

export function createSource() {
  const saved = document.querySelector("script[data-block]") !== null;
  return { saved, block: saved ? savedBlock : servedBlock, mediaUrl: saved ? savedMedia : servedMedia };
}

async function servedBlock(name) {
  const response = await fetch(`blocks/${name}`);
  if (!response.ok) throw new Error(`${name}: the server says ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function servedMedia(name) {
  return `blocks/${name}`;
}

async function savedMedia(name, type) {
  return URL.createObjectURL(new Blob([await savedBlock(name)], { type }));
}

async function savedBlock(name) {
  const packed = fromBase64((await findBlock(name)).textContent);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The element of a block, which may not be read yet: the page is shown while the rest of the file still comes. */
async function findBlock(name) {
  for (;;) {
    const loaded = document.readyState !== "loading";
    const found = document.querySelector(`script[data-block="${CSS.escape(name)}"]`);
    if (found && (loaded || found.nextElementSibling)) return found;
    if (loaded) throw new Error(`${name} is not in this page`);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
