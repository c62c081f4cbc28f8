// The page for people: three small files, which need nothing from elsewhere. The script asks for /status.json and draws
// what changed.
#include "relay_server/state.h"

static const char html[] =
    "<!doctype html>\n"
    "<html lang=\"en\">\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>Iroh relay</title>\n"
    "<link rel=\"stylesheet\" href=\"/status.css\">\n"
    "<h1>Iroh relay</h1>\n"
    "<p>This server passes encrypted traffic on between <a href=\"https://iroh.computer\">iroh</a> endpoints that\n"
    "cannot reach each other directly. It cannot read what it passes on.</p>\n"
    "<dl>\n"
    "<div><dt>Version</dt><dd id=\"version\">&ndash;</dd></div>\n"
    "<div><dt>Up for</dt><dd id=\"uptime\">&ndash;</dd></div>\n"
    "<div><dt>Clients</dt><dd id=\"clients\">&ndash;</dd></div>\n"
    "<div><dt>Datagrams per second</dt><dd id=\"rate\">&ndash;</dd></div>\n"
    "<div><dt>Traffic</dt><dd id=\"traffic\">&ndash;</dd></div>\n"
    "<div><dt>Passed on</dt><dd id=\"total\">&ndash;</dd></div>\n"
    "<div><dt>Dropped</dt><dd id=\"dropped\">&ndash;</dd></div>\n"
    "</dl>\n"
    "<figure>\n"
    "<svg id=\"graph\" viewBox=\"0 0 600 160\" preserveAspectRatio=\"none\" role=\"img\"\n"
    "aria-label=\"Traffic of the last two minutes\"><path id=\"area\"></path><path id=\"line\"></path></svg>\n"
    "<figcaption>Traffic of the last two minutes, at most <span id=\"peak\">0 B/s</span></figcaption>\n"
    "</figure>\n"
    "<p id=\"notice\" role=\"status\"></p>\n"
    "<noscript><p>The figures need a script of this server.</p></noscript>\n"
    "<script src=\"/status.js\"></script>\n"
    "</html>\n";

static const char css[] =
    ":root { color-scheme: light dark; --ink: #1d2733; --soft: #67768a; --paper: #fbfcfd; --accent: #2f6fde; }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  :root { --ink: #e6ebf2; --soft: #94a3b8; --paper: #131a22; --accent: #74a7ff; }\n"
    "}\n"
    "body { margin: 0 auto; max-width: 46rem; padding: 2rem 1.25rem; background: var(--paper); color: var(--ink);\n"
    "  font: 1rem/1.5 system-ui, sans-serif; }\n"
    "h1 { font-size: 1.6rem; margin: 0; }\n"
    "a { color: var(--accent); }\n"
    "dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1.25rem; margin: 2rem 0; }\n"
    "dt { color: var(--soft); font-size: .85rem; }\n"
    "dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; white-space: nowrap; }\n"
    "figure { margin: 0; }\n"
    "svg { width: 100%; height: 10rem; display: block; border-bottom: 1px solid var(--soft); }\n"
    "figcaption, #notice { color: var(--soft); font-size: .85rem; margin-top: .5rem; }\n"
    "#area { fill: var(--accent); opacity: .18; }\n"
    "#line { fill: none; stroke: var(--accent); stroke-width: 2; vector-effect: non-scaling-stroke; }\n";

static const char js[] =
    "'use strict';\n"
    "const POINTS = 120, WIDTH = 600, HEIGHT = 160;\n"
    "const rates = [];\n"
    "let before = null;\n"
    "const show = (id, text) => { document.getElementById(id).textContent = text; };\n"
    "const count = n => Math.round(n).toLocaleString('en');\n"
    "function bytes(n) {\n"
    "  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];\n"
    "  let i = 0;\n"
    "  while (n >= 1000 && i < units.length - 1) { n /= 1000; i++; }\n"
    "  return (i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + ' ' + units[i];\n"
    "}\n"
    "function duration(ms) {\n"
    "  const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);\n"
    "  if (d > 0) return d + ' d ' + h % 24 + ' h';\n"
    "  if (h > 0) return h + ' h ' + m % 60 + ' min';\n"
    "  return m > 0 ? m + ' min ' + s % 60 + ' s' : s + ' s';\n"
    "}\n"
    "function draw() {\n"
    "  const peak = Math.max(...rates, 1);\n"
    "  const x = i => (WIDTH * (POINTS - rates.length + i) / (POINTS - 1)).toFixed(1);\n"
    "  const y = v => (HEIGHT - (HEIGHT - 8) * v / peak).toFixed(1);\n"
    "  const line = rates.map((v, i) => (i ? 'L' : 'M') + x(i) + ' ' + y(v)).join('');\n"
    "  const base = 'L' + WIDTH + ' ' + HEIGHT + 'L' + x(0) + ' ' + HEIGHT + 'Z';\n"
    "  document.getElementById('line').setAttribute('d', line);\n"
    "  document.getElementById('area').setAttribute('d', line + base);\n"
    "  show('peak', bytes(Math.max(...rates)) + '/s');\n"
    "}\n"
    "function update(now) {\n"
    "  show('version', now.version);\n"
    "  show('uptime', duration(now.uptime_ms));\n"
    "  show('clients', count(now.clients));\n"
    "  show('total', bytes(now.bytes_out));\n"
    "  show('dropped', count(now.datagrams_dropped));\n"
    "  const seconds = before ? (now.uptime_ms - before.uptime_ms) / 1000 : 0;\n"
    "  if (seconds < 0) rates.length = 0;\n"
    "  if (seconds > 0) {\n"
    "    const rate = (now.bytes_out - before.bytes_out) / seconds;\n"
    "    show('rate', count((now.datagrams_out - before.datagrams_out) / seconds));\n"
    "    show('traffic', bytes(rate) + '/s');\n"
    "    rates.push(rate);\n"
    "    if (rates.length > POINTS) rates.shift();\n"
    "    draw();\n"
    "  }\n"
    "  before = now;\n"
    "}\n"
    "async function ask() {\n"
    "  try {\n"
    "    const answer = await fetch('/status.json', {cache: 'no-store'});\n"
    "    if (!answer.ok) throw new Error(answer.status);\n"
    "    update(await answer.json());\n"
    "    show('notice', '');\n"
    "  } catch (error) {\n"
    "    show('notice', 'The relay does not answer; trying again.');\n"
    "  }\n"
    "  setTimeout(ask, 1000);\n"
    "}\n"
    "ask();\n";

static const page_file files[] = {
    {"/", "text/html; charset=utf-8", html},
    {"/index.html", "text/html; charset=utf-8", html},
    {"/status.css", "text/css; charset=utf-8", css},
    {"/status.js", "text/javascript; charset=utf-8", js},
};

const page_file *page_find(const http_text *path) {
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (http_text_is(path, files[i].path))
            return &files[i];
    }
    return NULL;
}
