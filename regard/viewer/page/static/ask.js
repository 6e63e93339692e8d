// Another input, typed into a page that is served: the network is asked, and its page opened.

import { element } from "./tools.js";

/** Nothing where a page has no network behind it. */
export function createAsk(context) {
  if (context.source.saved || context.meta.asks !== "text") return "";
  const input = element("input", {
    type: "text",
    "aria-label": "another input",
    placeholder: "another text …",
    autocomplete: "off",
    maxLength: 20_000,
  });
  const button = element("button", { type: "submit", class: "quiet" }, "show");
  const told = element("p", { class: "told", role: "alert", hidden: true });
  const root = element("form", { class: "ask", onsubmit: ask }, input, button, told);

  async function ask(event) {
    event.preventDefault();
    if (!input.value.trim()) return;
    button.disabled = true;
    say("the network reads it …");
    say(await openPage(input.value, location.hash), true);
    button.disabled = false;
  }

  function say(text, wrong = false) {
    told.textContent = text;
    told.classList.toggle("wrong", wrong);
    told.hidden = !text;
  }
  return root;
}

/** Opens the page of another input; says what is wrong where there is none. */
export async function openPage(text, place = "") {
  try {
    const response = await fetch("/inputs", { method: "POST", body: text });
    const answer = await response.json();
    if (answer.error) return answer.error;
    location.assign(answer.page + place);
    return "";
  } catch {
    return "the server does not answer: it was stopped, or is busy";
  }
}
