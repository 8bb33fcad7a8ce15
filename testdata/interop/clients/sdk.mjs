// A program with the official TypeScript SDK that takes its credential from
// mcpauth. Each line on standard input is a thing to do, each line on standard
// output what became of it.
import { execFile } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const [form, url] = process.argv.slice(2);
const run = promisify(execFile);

let fresh = [];
const authProvider = {
  token: async () => {
    const args = ['headers', 'wiki', ...fresh];
    fresh = [];
    const { stdout } = await run('mcpauth', args);
    return JSON.parse(stdout).Authorization.slice('Bearer '.length);
  },
  onUnauthorized: async () => { fresh = ['--fresh']; },
};

const transport = form === 'bridge'
  ? new StdioClientTransport({ command: 'mcpauth', args: ['bridge', 'wiki'], env: process.env })
  : new StreamableHTTPClientTransport(new URL(url), { authProvider });
const client = new Client({ name: 'typescript', version: '2.4.0' });

const verbs = {
  connect: () => client.connect(transport),
  list: () => client.listTools(),
  call: (args) => client.callTool(args),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { verb, args } = JSON.parse(line);
  let answer;
  try {
    answer = { result: await verbs[verb](args) };
  } catch (err) {
    answer = { error: String(err) };
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
}
await client.close();
