/** What the reader chose to see, and the rows that belong to it. */
import type {PhaseName} from '../../result.js';
import type {ReportData} from '../shape.js';

export interface Choice {
  readonly backing: string;
  readonly access: string;
  readonly state: string;
  readonly threads: number;
  readonly pages: number;
  readonly phase: PhaseName;
}

type Field = keyof Choice;

/** What is shown first, where it was measured. */
const PREFERRED: Choice = {backing: '4k', access: 'write', state: 'resident', threads: 1, pages: 256, phase: 'pair'};
const LABELS: Readonly<Record<Field, string>> = {backing: 'Backing', access: 'Access', state: 'State', threads: 'Threads', pages: 'Pages', phase: 'Phase'};
/** That a row has to have for a chart over sizes. */
export const BUT_SIZE = ['backing', 'access', 'state', 'threads'] as const satisfies readonly Field[];

/** Whether something is of the chosen case, whatever its size. */
export function chosen(of: Pick<Choice, (typeof BUT_SIZE)[number]>, choice: Choice): boolean {
  return BUT_SIZE.every(field => of[field] === choice[field]);
}

function valuesOf(data: ReportData, field: Field): readonly (string | number)[] {
  const values = field === 'phase'
    ? (['pair', 'pin', 'unpin', 'touch'] as const).filter(name => data.rows.some(({phases}) => phases[name] !== undefined))
    : data.rows.map(row => row[field]);
  return [...new Set<string | number>(values)];
}

/** Puts a select for each field into the form, and tells every change, and the first choice at once. */
export function offerChoices(form: HTMLFormElement, data: ReportData, changed: (choice: Choice) => void): void {
  const fields = (Object.keys(LABELS) as Field[]).map(field => {
    const select = document.createElement('select');
    select.name = field;
    for (const value of valuesOf(data, field)) {
      const text = typeof value === 'number' ? value.toLocaleString('en') : value;
      select.append(new Option(text, String(value), false, value === PREFERRED[field]));
    }
    select.disabled = select.options.length < 2;
    const label = document.createElement('label');
    label.append(LABELS[field], select);
    return {field, label, select};
  });
  form.replaceChildren(...fields.map(({label}) => label));
  const chosenOf = (field: Field): string => fields.find(of => of.field === field)?.select.value ?? '';
  const tell = (): void => {
    changed({
      backing: chosenOf('backing'), access: chosenOf('access'), state: chosenOf('state'),
      threads: Number(chosenOf('threads')), pages: Number(chosenOf('pages')), phase: chosenOf('phase') as PhaseName,
    });
  };
  form.addEventListener('change', tell);
  form.addEventListener('submit', event => {
    event.preventDefault();
  });
  tell();
}

/** The choice in words: of the case, its size if that is told, and the phase. */
export function inWords({backing, access, state, threads, pages, phase}: Choice, shows: {readonly pages: boolean; readonly phase: boolean}): string {
  return [
    ...(shows.phase ? [phase === 'pair' ? 'pin and unpin together' : phase === 'touch' ? 'first touch' : phase] : []),
    `${backing} memory`, ...(shows.pages ? [`${pages.toLocaleString('en')} ${pages === 1 ? 'page' : 'pages'}`] : []),
    `for ${access}`, state, `${threads} ${threads === 1 ? 'thread' : 'threads'}`,
  ].join(' · ');
}
