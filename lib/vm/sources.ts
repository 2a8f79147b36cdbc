/**
 * The machine's own Debian sources, turned to another suite. So that no archive's address stands in this package, and a
 * machine's mirror or proxy serves the runner too.
 */
import type {Suite} from './kernels.js';

const RELEASE_NAMES =
  'buster|bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable';
const SUITE = new RegExp(`^(${RELEASE_NAMES})(-updates|-security|-backports)?$`);

export interface SourceFile {
  name: string;
  text: string;
}

interface Source {
  uris: readonly string[];
  suites: readonly string[];
  components: readonly string[];
  signedBy: string | undefined;
  /** Whatever else stands there and has to stay: check-valid-until, trusted, ... */
  options: readonly (readonly [string, string])[];
}

/** One deb822 file for `suite`, made of the machine's own Debian sources; undefined when it has none. */
export function sourcesFor(files: readonly SourceFile[], suite: Suite): string | undefined {
  const sources = files
    .flatMap(({name, text}) => (name.endsWith('.sources') ? parseDeb822(text) : name.endsWith('.list') ? parseList(text) : []))
    .filter(isDebian)
    .map((source) => ({...source, suites: wantedSuites(source, suite)}))
    .filter((source) => source.suites.length > 0);
  const stanzas = [...new Set(sources.map(toDeb822))];
  return stanzas.length > 0 ? stanzas.join('\n') : undefined;
}

/** A third party's packages would only slow the update down, or fail it: of its suites this one knows nothing. */
function isDebian(source: Source): boolean {
  return (
    source.components.includes('main') &&
    source.suites.some((suite) => SUITE.test(suite)) &&
    source.uris.some((uri) => /debian/i.test(uri)) &&
    (source.signedBy === undefined || /debian-archive|BEGIN PGP/.test(source.signedBy))
  );
}

function wantedSuites(source: Source, {release, part}: Suite): string[] {
  const pockets = source.suites.map((suite) => SUITE.exec(suite)).filter((match) => match !== null).map((match) => match[2] ?? '');
  switch (part) {
    case 'backports':
      // They lie beside the main archive, whether the machine uses its own release's or not.
      return pockets.includes('') || pockets.includes('-backports') ? [`${release}-backports`] : [];
    case 'main':
      return pockets.includes('') ? [release] : [];
    case 'updated':
      return [...new Set(pockets.filter((pocket) => pocket !== '-backports').map((pocket) => `${release}${pocket}`))];
  }
}

function toDeb822(source: Source): string {
  const fields: (readonly [string, string])[] = [
    ['Types', 'deb'],
    ['URIs', source.uris.join(' ')],
    ['Suites', source.suites.join(' ')],
    ['Components', 'main'],
    ...(source.signedBy === undefined ? [] : [['Signed-By', source.signedBy] as const]),
    ...source.options,
  ];
  return `${fields.map(([name, value]) => `${name}: ${value}`).join('\n')}\n`;
}

const words = (text: string | undefined): string[] => (text ?? '').split(/\s+/).filter(Boolean);

const KNOWN_FIELDS = new Set(['types', 'uris', 'suites', 'components', 'signed-by', 'enabled', 'architectures', 'x-repolib-name']);

function parseDeb822(text: string): Source[] {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .split(/\n\s*\n/)
    .flatMap((stanza) => {
      const fields = new Map<string, string>();
      for (const match of stanza.matchAll(/^([\w-]+):[ \t]*((?:.*)(?:\n[ \t].*)*)/gm)) {
        fields.set((match[1] ?? '').toLowerCase(), (match[2] ?? '').trimEnd());
      }
      if (!words(fields.get('types')).includes('deb') || fields.get('enabled')?.trim().toLowerCase() === 'no') {
        return [];
      }
      return [
        {
          uris: words(fields.get('uris')),
          suites: words(fields.get('suites')),
          components: words(fields.get('components')),
          signedBy: fields.get('signed-by'),
          options: [...fields].filter(([name]) => !KNOWN_FIELDS.has(name)),
        },
      ];
    });
}

function parseList(text: string): Source[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (match === null) {
      return [];
    }
    const options = words(match[1]).map((option) => {
      const [name = '', value = ''] = option.split(/=(.*)/s);
      return [name, value.replaceAll(',', ' ')] as const;
    });
    return [
      {
        uris: [match[2] ?? ''],
        suites: [match[3] ?? ''],
        components: words(match[4]),
        signedBy: options.find(([name]) => name === 'signed-by')?.[1],
        options: options.filter(([name]) => name !== 'signed-by' && name !== 'arch'),
      },
    ];
  });
}
