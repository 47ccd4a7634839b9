// For the two pages that mailed links open: takes the token from the address and sends it on.

const TIMEOUT = 30_000; // milliseconds
const verify = document.getElementById("verify");
const form = verify || document.getElementById("reset");
const button = form.querySelector("[type=submit]");
const registration = document.getElementById("registration");
const input = document.getElementById("password");
const show = document.getElementById("show");
const done = document.getElementById("done");
const failed = document.getElementById("failed");

const SUCCESS = verify
  ? "Your address is confirmed. You can close this page and log in."
  : "Your new password is set, and every device has been logged out. You can close this page and log in.";
const NO_TOKEN = "A part of the link is missing. Open the link in the mail again, all of it.";
const BAD_TOKEN = verify
  ? "This link was used already, or it is too old. If you have used it yourself, your address is confirmed: log in. If not, ask for a new mail where you registered."
  : "This link was used already, or it is too old. Ask for a new one with “forgot password” where you log in.";
const WRONG_PASSWORD = "This is not the password with which this registration was made. If you did not sign up, close this page.";
const LATER = "This did not work just now. Try again in a minute.";

// In this variable alone: not in the address bar, the history or any storage.
let token = "";
let busy = false;
// The field for a password, where this page asks for one: a link of a change of address does not.
let password = null;

function start() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  token = fragment.get("token") || "";
  password = !verify || fragment.get("purpose") === "registration" ? input : null;
  if (registration) {
    registration.hidden = !password;
    input.required = Boolean(password);
  }
  history.replaceState(null, "", location.pathname + location.search);
  if (token) {
    say(done, "");
    say(failed, "");
    form.hidden = false;
    (password || button).focus();
  } else {
    finish(failed, NO_TOKEN);
  }
}

// Messages are set as text, never as HTML.
function say(where, text) {
  where.textContent = text;
}

// The last word on this page: what was asked is done, or cannot be done with this link.
function finish(where, text) {
  token = "";
  form.hidden = true;
  if (password) {
    password.value = "";
  }
  say(where === done ? failed : done, "");
  say(where, text);
  where.focus();
}

// Something that another try may mend.
function complain(text) {
  say(failed, text);
  (password || button).focus();
}

function tooMany(response) {
  const seconds = Number(response.headers.get("Retry-After")) || 60;
  const minutes = Math.ceil(seconds / 60);
  return `Too many tries. Try again in ${minutes === 1 ? "a minute" : `${minutes} minutes`}.`;
}

// The service says what is wrong with a password; a list of reasons, each a line.
async function reasons(response) {
  const problem = await response.json();
  return problem.errors.map((error) => error.msg).join("\n") || problem.detail;
}

function post(name, content) {
  // Relative to this page, so that a proxy may put the service under a path of its own.
  return fetch(new URL(`../auth/${name}`, document.baseURI), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
    credentials: "omit",
    redirect: "error",
    signal: AbortSignal.timeout(TIMEOUT),
  });
}

async function send() {
  const response = verify
    ? await post("verify-email", password ? { token, password: password.value } : { token })
    : await post("reset-password", { token, password: password.value });
  if (response.ok) {
    finish(done, SUCCESS);
  } else if (response.status === 400) {
    if (verify && password && (await response.json()).type === "urn:gatehouse:password") {
      complain(WRONG_PASSWORD);
      password.setAttribute("aria-invalid", "true");
    } else {
      finish(failed, BAD_TOKEN);
    }
  } else if (response.status === 429) {
    complain(tooMany(response));
  } else if (response.status === 422 && password) {
    complain(await reasons(response));
    password.setAttribute("aria-invalid", "true");
  } else {
    complain(LATER);
  }
}

// Only when a person presses the button. Programs that look into mail for harmful links open
// them and run their scripts: were the token sent at once, such a program would confirm an
// account that a stranger has made with its owner's address.
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (busy) {
    return; // not `disabled`, which would take the focus away
  }
  busy = true;
  button.setAttribute("aria-disabled", "true");
  say(failed, "");
  if (password) {
    password.removeAttribute("aria-invalid");
    conceal(true); // a browser offers to keep only what stands in a password field
  }
  try {
    await send();
  } catch {
    complain(LATER);
  }
  busy = false;
  button.removeAttribute("aria-disabled");
});

function conceal(hidden) {
  input.type = hidden ? "password" : "text";
  show.textContent = hidden ? "Show" : "Hide";
  show.setAttribute("aria-label", `${show.textContent} the password`);
}

if (show) {
  show.addEventListener("click", () => conceal(input.type === "text"));
}

// The same page may be given another link: only the fragment changes then, and nothing loads.
addEventListener("hashchange", start);
start();
