/** What the report says in words: where it ran, what came of the figures, what each chart shows. */
import type {BenchResult, Environment, Figure} from '../result.js';
import {html, number, timeInWords, type Markup} from './markup.js';
import {absentTable, fitTable, latencyTable, ratioTable, splitTable} from './tables.js';

/** Read before any number is. */
function warning({icount, onlyRatiosCount, acceleratorReason}: Environment): Markup {
  if (icount) {
    return html`<aside class="loud" role="note"><strong>Time is a count of instructions.</strong>
The guest ran with <code>--icount</code>: its times repeat, and know nothing of caches, TLB and memory.</aside>`;
  }
  if (!onlyRatiosCount) return html``;
  return html`<aside class="loud" role="note"><strong>Emulated: only ratios within this run count.</strong>
No time on this page is a real machine’s (${acceleratorReason}). A look at the clock or a system call is dear here, memory and caches are free.
For times that repeat, <code>framevec vm --icount --cpus 1 -- npx framevec bench …</code> counts instructions instead.</aside>`;
}

function facts({environment: of, startedAt, seconds, settings}: BenchResult): Markup {
  const known: readonly (readonly [string, string | undefined])[] = [
    ['Kernel', `Linux ${of.kernel} (${of.machine})`],
    ['Processor', `${of.cpus} × ${of.cpu}`],
    ['Accelerator', `${of.accelerator}: ${of.acceleratorReason}`],
    ['Memory', `${(of.memoryBytes / 2 ** 30).toFixed(1)} GiB, pages of ${of.pageSize.toLocaleString('en')} bytes`],
    ['Governor', of.governor ?? 'not told'],
    ['Clock source', of.clocksource],
    ['THP', of.thp ?? 'not in this kernel'],
    ['Versions', `framevec ${of.framevec}, Node ${of.node}`],
    ['A look at the clock', `${timeInWords(of.clock.p50)} (in every call’s time; a pair has two)`],
    ['An empty ioctl', of.emptyCall && `${timeInWords(of.emptyCall.js.p50)} from JavaScript${of.emptyCall.c ? `, ${timeInWords(of.emptyCall.c.p50)} from C` : ''}`],
    ['Each row', `${settings.durationMs} ms in ${settings.rounds} rounds, in turn with the others${settings.filter === undefined ? '' : `; only ${settings.filter}`}`],
    ['Run', `${startedAt.replace('T', ' ').slice(0, 16)} UTC, ${seconds} s`],
  ];
  return html`<dl class="facts">${known.map(([name, value]) => value === undefined ? html`` : html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function figureCard({id, claim, target, measured, reached, reason, details}: Figure): Markup {
  const [kind, verdict] = measured === undefined ? ['unknown', 'not measured'] : reached === true ? ['reached', '✓ reached'] : ['missed', '✗ not reached'];
  return html`<article class="figure ${kind}" id="figure-${id}">
<h3><span class="id">${id}</span> ${claim}</h3>
<p class="value">${measured === undefined ? html`<span class="why">${reason ?? 'no reason was given'}</span>` : html`<data value="${measured.value}">${measured.words}</data>`}</p>
<p class="target"><span class="verdict">${verdict}</span> target ${target}</p>
${details.length === 0 ? undefined : html`<details><summary>What it is made of</summary><ul>${details.map(line => html`<li>${line}</li>`)}</ul></details>`}
</article>
`;
}

function figures({figures: all}: BenchResult): Markup {
  if (all.length === 0) return html``;
  return html`<section id="figures"><h2>The figures</h2>
<p>What framevec claims of itself, as in docs/performance.md, with 95 % intervals.</p>
<div class="figures">${all.map(figureCard)}</div></section>`;
}

/** A chart's place: the page's script draws into it. `panels` stand beside each other. */
function chart(id: string, title: string, about: string, panels: readonly (readonly [string, string])[], data: Markup): Markup {
  return html`<section id="${id}"><h2>${title}</h2><p>${about}</p>
<p class="choice" data-choice="${id}"></p>${id === 'peers' ? undefined : html`<div data-legend="${id}"></div>`}
<div class="panels">${panels.map(([name, caption]) => html`<figure><figcaption>${caption}</figcaption><div class="chart" data-chart="${name}"></div></figure>`)}</div>
${data}</section>
`;
}

function charts(result: BenchResult): Markup {
  if (result.rows.length === 0) return html``;
  return html`<form id="choices" aria-label="What the charts show"></form>
<noscript><p class="loud">The charts are drawn by a script within this page. Without it there are the tables.</p></noscript>
${chart('latency', 'Latency', 'The share of calls that took at most so long; and the tail, where each line down is ten times rarer.',
    [['latency-body', 'Share of calls that took at most so long'], ['latency-tail', 'The tail: share of calls that took so long or longer']], latencyTable(result))}
${chart('cost', 'Cost over size', 'Medians of the rounds, and the line time = fixed + pages × per page that was fitted so that relative errors are least.',
    [['cost-whole', 'One call'], ['cost-page', 'The same, by page']], fitTable(result))}
${chart('split', 'Where the time goes', 'Of framevec’s own pins and unpins on one thread: by the kernel’s clock within the module, and by calls that do nothing.',
    [['split-pin', 'pin()'], ['split-unpin', 'unpin()']], splitTable(result))}
${chart('peers', 'Side by side', 'Taking and releasing the same memory, round by round the one over the other. The point is the median, the thick line the quartiles of the rounds, the thin one the 95 % interval of the median.',
    [['peers-ratio', 'framevec’s ioctls from C over each peer'], ['peers-javascript', 'framevec from JavaScript over the same from C']], ratioTable(result))}`;
}

/** All that is within <body>, the script apart. */
export function body(result: BenchResult): Markup {
  const {environment: of, command} = result;
  return html`<header><h1>What pinning costs</h1>
<p class="lead">framevec ${of.framevec} on Linux ${of.kernel}</p>
${warning(of)}
${facts(result)}
<p class="command"><code>framevec ${command.join(' ')}</code></p></header>
<main>
${figures(result)}
${charts(result)}
<section><h2>Absent</h2>${absentTable(result)}</section>
</main>
<footer><p>${number(result.rows.length)} rows. Made by <code>framevec bench --html</code>; all of it, and the whole histograms, are in what <code>--json</code> writes.</p></footer>`;
}
