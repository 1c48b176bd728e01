// Pages work without this: it shows that a pressed button was heard, and goes on to the gateway by itself.
"use strict";

document.addEventListener("submit", (event) => {
  const form = event.target;
  const status = document.getElementById("status");
  for (const button of document.querySelectorAll("button")) {
    button.disabled = true;
  }
  const pressed = form.querySelector("button");
  if (pressed && form.dataset.busy) {
    pressed.dataset.said = pressed.textContent;
    pressed.textContent = form.dataset.busy;
  }
  if (status && status.dataset.starting) {
    status.dataset.was = status.dataset.state;
    status.dataset.state = "starting";
    status.querySelector("h2").textContent = status.dataset.starting;
    status.querySelector("p").textContent = status.dataset.startingText;
  }
});

// Coming back with the browser's Back button shows the page as it was left: make its buttons work again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) {
    window.location.reload();
  }
});

const form = document.querySelector("form[data-send-at-once]");
if (form) {
  form.requestSubmit();
}
const link = document.querySelector("a[data-follow-at-once]");
if (link) {
  window.location.replace(link.href);
}
