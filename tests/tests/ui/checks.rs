//! Requirements on every page, independent of its contents.

use std::net::SocketAddr;
use std::path::Path;

use harness::browser::Browser;

/// Checks the page against the rules and returns the list of violations.
const RULES: &str = r#"(() => {
  const wrong = [];
  const must = (so, what) => { if (!so) wrong.push(what); };
  const all = (s) => [...document.querySelectorAll(s)];
  must(document.documentElement.lang, "a language");
  must(document.title, "a title");
  must(all("h1").length === 1, "one h1");
  for (const one of ["header", "main", "footer"]) must(all(one).length === 1, one);
  must(document.querySelector("[aria-live=polite]"), "a polite live region");
  const tables = all("table").filter((table) => table.checkVisibility());
  for (const table of tables) {
    must(table.caption?.textContent.trim(), `a caption: ${table.dataset.rows}`);
    must([...table.querySelectorAll("thead th")].every((th) => th.scope === "col"), `scopes: ${table.dataset.rows}`);
  }
  for (const section of all("section")) {
    const label = section.getAttribute("aria-label") || document.getElementById(section.getAttribute("aria-labelledby"))?.textContent;
    must(label, "a label of a section");
  }
  for (const input of all("input, select, textarea")) must(document.querySelector(`label[for=${input.id}]`), `a label of ${input.id}`);
  must(all("svg").every((one) => one.getAttribute("role") === "img" && one.getAttribute("aria-label")), "labels of plots");
  must(all("[style], [onclick], [onload], [onerror], style, script:not([src])").length === 0, "nothing inline");
  must(all("img:not(.result), iframe, object, embed").length === 0, "no embedded content");
  must(all("img").every((img) => img.alt && img.src.startsWith("data:image/")), "pictures of results, with words for them");
  must(document.documentElement.scrollWidth <= window.innerWidth, "no sideways scrolling of the page");
  for (const one of all(".scroll")) {
    const table = one.querySelector("table");
    // Narrow windows show cards, wide ones all columns.
    if (one.checkVisibility()) must(one.scrollWidth <= one.clientWidth, `no sideways scrolling of ${table.dataset.rows}: ${one.scrollWidth} in ${one.clientWidth}`);
  }
  for (const whole of all(".whole, .id > details > summary")) {
    if (whole.checkVisibility()) must(whole.getClientRects().length === 1 && whole.offsetHeight < 40, `one line: ${whole.textContent}`);
  }
  must(tables.length > 0 && tables.length === all(".scroll table").filter((table) => table.checkVisibility()).length, "tables that can be scrolled");
  must(new Set(all("[id]").map((one) => one.id)).size === all("[id]").length, "ids of their own");
  must(all("nav a[aria-current=page]").length <= 1, "one current view");
  for (const table of tables) {
    must(table.getAttribute("role") === "table" && [...table.querySelectorAll("tbody tr")].every((tr) => tr.getAttribute("role") === "row"), `roles: ${table.dataset.rows}`);
    must(table.querySelectorAll("tbody tr").length <= 20, `twenty rows first: ${table.dataset.rows}`);
  }
  if (window.innerWidth <= 768) {
    for (const cell of all("tbody [data-label]")) {
      if (!cell.checkVisibility()) continue;
      must(getComputedStyle(cell).display === "grid" && getComputedStyle(cell, "::before").content === JSON.stringify(cell.dataset.label), `a labelled line: ${cell.dataset.label}`);
      must(cell.getBoundingClientRect().right <= window.innerWidth, `inside of the window: ${cell.dataset.label}`);
    }
  }
  return wrong;
})()"#;

/// Text whose contrast with its background is below 4.5 (WCAG 2.2, 1.4.3).
const CONTRAST: &str = r#"(() => {
  const rgb = (text) => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return { r, g, b, a }; };
  const light = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgb(getComputedStyle(at).backgroundColor);
      if (color.a === 1) return color;
    }
    return rgb(getComputedStyle(document.documentElement).colorScheme.includes("dark") ? "rgb(0,0,0)" : "rgb(255,255,255)");
  };
  const faint = new Set();
  for (const element of document.querySelectorAll("body *")) {
    if (![...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !element.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.add(`${element.tagName} ${element.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return [...faint];
})()"#;

/// Runs axe-core's rules, which `scripts/setup ui` installs, and returns what violates them.
const AXE: &str = r#"axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
  violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).slice(0, 3).join(" ")}`))"#;

/// Where `scripts/setup ui` puts axe-core.
const AXE_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/ui/node_modules/axe-core/axe.min.js");

/// Loads axe-core into the page, once for each document.
async fn load_axe(browser: &mut Browser) {
    if browser.eval("typeof window.axe").await == "undefined" {
        let text = std::fs::read_to_string(AXE_FILE).expect("axe-core: run scripts/setup ui");
        browser.eval(&format!("{text};0")).await;
    }
}

/// Starts a browser on the page at this path of a server.
pub(crate) async fn open_page(server: SocketAddr, path: &str) -> Browser {
    let mut browser = Browser::start().await;
    browser.open(&format!("http://{server}{path}")).await;
    browser
}

/// Opens a view of the page, which must show this text then.
pub(crate) async fn open_view(browser: &mut Browser, hash: &str, text: &str) {
    browser.eval(&format!("location.hash = {hash:?}")).await;
    let shown = format!("document.querySelector('[data-view]:not([hidden])').innerText.includes({text:?})");
    browser.until(hash, &shown).await;
}

/// Widths at which pages are checked, in pixels: a laptop, a half screen, a tablet, a telephone.
const WIDTHS: [u32; 4] = [1280, 1120, 700, 390];

/// Checks the page at several widths and in both colour schemes, and takes pictures.
pub(crate) async fn hold_to_the_rules(browser: &mut Browser, name: &str) {
    load_axe(browser).await;
    for scheme in ["light", "dark"] {
        browser.scheme(scheme).await;
        let wrong = browser.eval(RULES).await;
        assert_eq!(wrong, serde_json::json!([]), "{name}, {scheme}");
        let faint = browser.eval(CONTRAST).await;
        assert_eq!(faint, serde_json::json!([]), "{name}, {scheme}");
        assert_eq!(browser.eval(AXE).await, serde_json::json!([]), "{name}, {scheme}");
        take_picture(browser, &format!("{name}-{scheme}")).await;
    }
    for width in WIDTHS {
        browser.window(width, 1600).await;
        assert_eq!(browser.eval(RULES).await, serde_json::json!([]), "{name}, {width} px");
        take_picture(browser, &format!("{name}-{width}")).await;
    }
    browser.window(1120, 760).await;
}

async fn take_picture(browser: &mut Browser, name: &str) {
    if let Some(folder) = std::env::var_os("UI_SCREENSHOTS") {
        browser.screenshot(&Path::new(&folder).join(format!("{name}.png"))).await;
    }
}

/// Moves through the page by Tab and returns the names of the focusable elements, each of which must show its focus.
pub(crate) async fn tab_through(browser: &mut Browser, stops: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..stops {
        browser.press("Tab").await;
        let stop = browser
            .eval(
                "(() => { const e = document.activeElement; const s = getComputedStyle(e); \
                 return [e.id || e.getAttribute('aria-labelledby') || e.textContent.trim(), s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2]; })()",
            )
            .await;
        let name = stop[0].as_str().unwrap().to_owned();
        assert_eq!(stop[1], true, "the focus is seen on {name:?}");
        names.push(name);
    }
    names
}
