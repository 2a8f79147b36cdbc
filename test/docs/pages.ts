/** The documentation as a reader's program sees it: its pages, and what is in them. */
import {readFileSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import GithubSlugger from 'github-slugger';
import MarkdownIt from 'markdown-it';
import {PACKAGE_ROOT} from '../../lib/package.js';

/** A block of code. */
export interface Block {
  /** `docs/fork.md:12`: the line of its fence. */
  place: string;
  /** The first word of the info string; '' if there is none. */
  language: string;
  text: string;
  /** `with="a b"`: what test/docs/setup has under these names is there before its first line. */
  with: string[];
  /** `norun="why"`: it can't be run by a test, for this reason. */
  norun: string | undefined;
  /** `numbers="vary"`, of an output: only the words have to agree. */
  numbersVary: boolean;
  /** The `text` that follows it below the same heading: what it prints. */
  output: Block | undefined;
}

export interface Page {
  /** From the package's root. */
  path: string;
  blocks: Block[];
  /** Where its links and pictures go to. */
  links: string[];
  /** The text of each `code` in a line. */
  codes: string[];
  /** The anchors of its headings, as GitHub makes them. */
  anchors: string[];
}

const ATTRIBUTES = /^(?:(?:with|norun|numbers)="[^"]+" ?)*$/;

function blockOf(path: string, line: number, info: string, text: string): Block {
  const [language = '', attributes = ''] = info.trim().split(/ (.*)/s);
  const place = `${path}:${line + 1}`;
  if (!ATTRIBUTES.test(attributes)) throw new Error(`${place}: what is ${attributes}? There are with="...", norun="..." and numbers="vary"`);
  const attribute = (name: string): string | undefined => new RegExp(`\\b${name}="([^"]+)"`).exec(attributes)?.[1];
  return {
    place,
    language,
    text,
    with: attribute('with')?.split(' ') ?? [],
    norun: attribute('norun'),
    numbersVary: attribute('numbers') === 'vary',
    output: undefined,
  };
}

function pageOf(path: string): Page {
  const page: Page = {path, blocks: [], links: [], codes: [], anchors: []};
  const slugger = new GithubSlugger();
  let program: Block | undefined;
  const tokens = new MarkdownIt().parse(readFileSync(join(PACKAGE_ROOT, path), 'utf8'), {});
  tokens.forEach((token, index) => {
    if (token.type === 'fence' || token.type === 'code_block') {
      const block = blockOf(path, token.map?.[0] ?? 0, token.info, token.content);
      if (block.language !== 'text') program = block;
      else if (program !== undefined && block.norun === undefined) {
        program.output = block;
        program = undefined;
      }
      page.blocks.push(block);
    }
    if (token.type === 'heading_open') {
      program = undefined;
      const words = tokens[index + 1]?.children?.map(({type, content}) => (type === 'text' || type === 'code_inline' ? content : '')) ?? [];
      page.anchors.push(slugger.slug(words.join('')));
    }
    for (const child of token.children ?? []) {
      const link = child.attrGet('href') ?? child.attrGet('src');
      if (link !== null) page.links.push(link);
      if (child.type === 'code_inline') page.codes.push(child.content);
    }
  });
  return page;
}

/** The project's files at the root, and docs/. */
export const pages: Page[] = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync(join(PACKAGE_ROOT, 'docs'), {recursive: true, encoding: 'utf8'}).filter(name => name.endsWith('.md')).sort().map(name => `docs/${name}`),
].map(pageOf);

/** The blocks in one of these languages. */
export const blocksIn = (...languages: string[]): Block[] => pages.flatMap(({blocks}) => blocks).filter(({language}) => languages.includes(language));

/** The program that a block of TypeScript is, with what it takes for granted: from test/docs/setup, or from where that is compiled to. */
export function programOf(block: Block, setup: string): string {
  const imports = block.with.map(name => `import {${name}} from '${join(PACKAGE_ROOT, setup, name)}.js';`);
  return `${imports.join(' ')}${block.text}\nexport {};\n`;
}
