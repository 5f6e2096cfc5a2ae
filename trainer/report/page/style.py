"""The style sheet of the page, for print, light and dark. Two colours have a meaning: this version,
and what is wrong.
"""

from __future__ import annotations

STYLE = """
:root { --ink:#1b2430; --soft:#5b6878; --faint:#8a96a5; --rule:#e3e8ee; --paper:#ffffff;
  --ground:#f5f7fa; --ours:#1f6feb; --ours-soft:#dbe8fd; --train:#9aa7b6; --wrong:#c4432b;
  --good:#1a7f4b; --amber:#b7791f; --edge:#00000026; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6ebf1; --soft:#a5b1bf; --faint:#7c8896;
  --rule:#2b3440; --paper:#161c24; --ground:#0e1318; --ours:#6ea8ff; --ours-soft:#1d2f4d;
  --train:#7c8896; --wrong:#ff8a70; --good:#5cc98c; --amber:#e0b252; --edge:#000000a0; } }
* { box-sizing:border-box; }
html { color-scheme:light dark; }
body { margin:0; background:var(--ground); color:var(--ink);
  font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif; }
main { max-width:980px; margin:0 auto; padding:28px 20px 60px; }
header { margin:6px 4px 20px; }
h1 { font-size:26px; line-height:1.2; margin:0 0 6px; letter-spacing:-.01em;
  overflow-wrap:anywhere; }
h2 { font-size:17px; margin:0 0 4px; letter-spacing:-.005em; }
h3 { font-size:13.5px; margin:14px 0 8px; color:var(--soft); font-weight:600; }
p { margin:0 0 10px; } .lead { color:var(--soft); margin:0 0 16px; max-width:72ch; }
.facts { color:var(--soft); font-size:13.5px; }
.facts b { color:var(--ink); font-weight:600; }
code { font:12.5px/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace; }
section { background:var(--paper); border:1px solid var(--rule); border-radius:12px;
  padding:20px 22px; margin:0 0 16px; }
.verdict { border-left:6px solid var(--faint); padding:2px 0 2px 16px; margin-bottom:22px; }
.verdict.ship { border-color:var(--good); } .verdict.do_not_ship { border-color:var(--wrong); }
.verdict.cannot_tell { border-color:var(--amber); }
.verdict .decision { font-size:26px; font-weight:700; margin:0 0 4px; }
.verdict ul { margin:0; padding-left:18px; }
.hero { display:flex; flex-wrap:wrap; gap:28px; align-items:flex-start; }
.number { font-size:54px; line-height:1; font-weight:650; letter-spacing:-.03em;
  font-variant-numeric:tabular-nums; }
.under { color:var(--soft); font-size:13.5px; margin-top:8px; }
.verdicts { flex:1 1 420px; margin:0; padding:0; list-style:none; }
.verdicts li { padding:3px 0 9px 18px; border-left:3px solid var(--rule); }
.verdicts li.better { border-color:var(--good); } .verdicts li.worse { border-color:var(--wrong); }
.advice { margin:0; padding-left:20px; } .advice li { margin:0 0 8px; }
.two { display:grid; gap:24px;
  grid-template-columns:repeat(auto-fill,minmax(min(320px,100%),1fr)); }
/* a shadow at the side to which a table goes on */
.scroll { overflow-x:auto; background:linear-gradient(to right,var(--paper) 30%,transparent) left,
    linear-gradient(to left,var(--paper) 30%,transparent) right,
    linear-gradient(to right,var(--edge),transparent) left,
    linear-gradient(to left,var(--edge),transparent) right;
  background-repeat:no-repeat; background-size:30px 100%,30px 100%,10px 100%,10px 100%;
  background-attachment:local,local,scroll,scroll; }
table { border-collapse:collapse; width:100%; font-size:13.5px; }
th { text-align:left; color:var(--soft); font-weight:600; padding:6px 10px 6px 0;
  border-bottom:1px solid var(--rule); white-space:nowrap; }
td { padding:6px 10px 6px 0; border-bottom:1px solid var(--rule); vertical-align:top; }
tr:last-child td { border-bottom:0; }
td.num, th.num { text-align:right; font-variant-numeric:tabular-nums; white-space:nowrap; }
td.ours { color:var(--ours); font-weight:600; } td.text { overflow-wrap:break-word; }
td.long { overflow-wrap:anywhere; min-width:200px; }
td.worse { color:var(--wrong); }
.plot { width:100%; height:auto; display:block; font-size:11px; }
.plot.wide, .plot.narrow { margin-bottom:14px; } .plot.narrow { display:none; }
.plot.matrix { max-width:100%; width:auto; }
.plot text { fill:var(--soft); font-family:inherit; }
.grid { stroke:var(--rule); stroke-width:1; }
.y-tick, .name { text-anchor:end; } .x-tick { text-anchor:middle; } .value { text-anchor:end; }
.plot .name.ours, .plot .value.ours { fill:var(--ink); font-weight:600; }
.line { fill:none; stroke-width:2; stroke-linejoin:round; stroke-linecap:round; }
.line.train { stroke:var(--train); } .line.dev { stroke:var(--ours); }
.line.faint { stroke:var(--train); stroke-width:1.5; } .faint-line { opacity:.3; }
.line.ideal { stroke:var(--faint); stroke-width:1; stroke-dasharray:4 4; }
.area.dev { fill:var(--ours); opacity:.12; }
.dot.train { fill:var(--train); } .dot.dev, .dot.ours { fill:var(--ours); }
.dot.faint { fill:var(--train); opacity:.6; } .dot.other { fill:var(--train); }
.dot.best { fill:none; stroke:var(--ours); stroke-width:2; }
.dot.best.train { stroke:var(--train); }
.whisker { stroke:var(--ours); stroke-width:6; stroke-linecap:round; opacity:.28; }
.whisker.other { stroke:var(--train); }
rect.right { fill:var(--ours); } rect.wrong { fill:var(--wrong); }
.plot .count { text-anchor:middle; fill:var(--ink); font-size:12px; }
.plot .count.strong { fill:var(--paper); font-weight:600; }
.bar { width:110px; height:10px; } .bar .track { fill:var(--rule); }
.bar .fill { fill:var(--ours); }
.key { display:flex; flex-wrap:wrap; gap:14px; color:var(--soft); font-size:12.5px;
  margin:0 0 6px; }
.key i { display:inline-block; width:16px; height:3px; border-radius:2px; vertical-align:middle;
  margin-right:6px; background:var(--train); } .key i.dev { background:var(--ours); }
.note { color:var(--soft); font-size:13px; margin:10px 0 0; }
pre { margin:0 0 10px; padding:10px 12px; background:var(--ground); border-radius:8px;
  white-space:pre-wrap; overflow-wrap:anywhere; }
.settings code { display:inline-block; margin:0 10px 4px 0; overflow-wrap:anywhere; }
summary { cursor:pointer; color:var(--soft); margin:0 0 8px; }
.facts-table th { border-bottom:0; vertical-align:top; padding-right:18px; }
.facts-table td { border-bottom:0; overflow-wrap:anywhere; width:100%; }
.small { display:block; color:var(--faint); font-size:11.5px; font-weight:400; }
tfoot td { color:var(--soft); border-bottom:0; padding-top:4px; } tr.chosen td { font-weight:600; }
.note.warning { color:var(--wrong); }
footer { color:var(--faint); font-size:12.5px; margin:18px 4px; }
@media (max-width:560px) { .plot { font-size:14px; } .plot.wide { display:none; }
  .plot.narrow { display:block; font-size:11px; } .plot.matrix { font-size:11px; }
  table { font-size:12.5px; } td { padding-right:7px; } td.num .small { font-size:11px; }
  th, th.num { white-space:normal; padding-right:7px; vertical-align:bottom; }
  .bar { display:none; } .two { gap:14px; }
  main { padding:16px 10px 40px; } section { padding:16px 14px; }
  .number { font-size:42px; } h1 { font-size:21px; } }
@media print { body { background:#fff; } section, tr, .plot { break-inside:avoid; }
  section { border:0; padding:8px 0; } .scroll { overflow:visible; background:none; }
  th, th.num { white-space:normal; } h2, h3 { break-after:avoid; } }
"""
