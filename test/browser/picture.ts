/** `make bench-report`: a picture of a page, whole: picture.js PAGE PICTURE. */
import {pathToFileURL} from 'node:url';
import {launch} from './chromium.js';

const [page = '', picture = ''] = process.argv.slice(2);
const browser = await launch();
try {
  const opened = await browser.newPage({viewport: {width: 1280, height: 900}});
  await opened.goto(pathToFileURL(page).href);
  await opened.screenshot({path: picture, fullPage: true});
} finally {
  await browser.close();
}
