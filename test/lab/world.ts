import { serveWorld } from '../../src/demo/world.ts';
import { labServices } from './services.ts';

await serveWorld(process.stdin, process.stdout, labServices);
