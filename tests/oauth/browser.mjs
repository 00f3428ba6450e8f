// A user at a headless Chromium: opens a client's authorization URL, signs in, decides, and is sent back to the client.
//
//     node browser.mjs URL REDIRECT allow|deny
//
// Knows the forms of the broker, of Keycloak and of oidc-provider. Writes one line a page that it saw, `page NAME`, and `back` at the end.
// Name and password are those of the environment (OAUTH_USER, OAUTH_PASSWORD), the browser is CHROMIUM.

import { chromium } from "playwright-core";

const [address, redirect, decision] = process.argv.slice(2);
const { OAUTH_USER: user, OAUTH_PASSWORD: password, CHROMIUM: executablePath } = process.env;
// Milliseconds that a page may take.
const PATIENCE = 30_000;
// Pages that a way may have.
const MOST = 8;

// Forms by name: how a page with one is known, and what a user does there. The first that is there counts.
const FORMS = [
  ["broker sign-in", "form[action='/oauth/login']", async page => {
    await page.fill("input[name=username]", user);
    await page.fill("input[name=password]", password);
    await page.click("form[action='/oauth/login'] button");
  }],
  ["broker consent", "form[action='/oauth/consent']", page => page.click(`button[name=decision][value=${decision}]`)],
  ["Keycloak sign-in", "#kc-form-login", async page => {
    await page.fill("#username", user);
    await page.fill("#password", password);
    await page.click("#kc-login");
  }],
  ["Keycloak consent", "form[action*='consent']", page => page.click(decision === "allow" ? "[name=accept]" : "[name=cancel]")],
  ["oidc-provider sign-in", "input[name=prompt][value=login]", async page => {
    await page.fill("input[name=login]", user);
    await page.fill("input[name=password]", password);
    await page.click("button[type=submit]");
  }],
  ["oidc-provider consent", "input[name=prompt][value=consent]", page =>
    page.click(decision === "allow" ? "button[type=submit]" : "a[href$='/abort']")],
];

// Chromium's own sandbox does not run as root.
const browser = await chromium.launch({ executablePath, args: process.getuid() === 0 ? ["--no-sandbox"] : [] });
try {
  // The certificate of the arrangement with nginx is its own.
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  const scripts = [];
  page.on("pageerror", error => scripts.push(error.message));
  await page.goto(address, { timeout: PATIENCE });
  const any = FORMS.map(([, selector]) => selector).join(", ");
  for (let number = 0; !page.url().startsWith(redirect); number += 1) {
    if (number === MOST) throw new Error(`no way back after ${MOST} pages, at ${page.url()}`);
    await page.waitForSelector(any, { state: "attached", timeout: PATIENCE });
    const visible = await Promise.all(FORMS.map(([, selector]) => page.locator(selector).count()));
    const [name, , act] = FORMS[visible.findIndex(count => count > 0)];
    console.log(`page ${name}`);
    const before = page.url();
    const stamp = Math.random();
    await page.evaluate(value => { globalThis.seen = value; }, stamp);
    await act(page);
    // The next document, whether its URL is another or the same.
    await page.waitForFunction(value => globalThis.seen !== value && document.readyState !== "loading", stamp, { timeout: PATIENCE });
    if (page.url() === before && number > 3) throw new Error(`the page stays: ${(await page.innerText("body")).slice(0, 300)}`);
  }
  console.log("back");
} catch (error) {
  const pages = browser.contexts().flatMap(context => context.pages());
  const texts = await Promise.all(pages.map(async page => `${page.url()} ${await page.innerText("body").catch(() => "")}`));
  console.log(`FAILED ${String(error.message ?? error)} ${texts.join(" ")}`.replaceAll(/\s+/g, " ").slice(0, 900));
  process.exitCode = 1;
} finally {
  await browser.close();
}
