// Runs a client's cases at once and prints what each gave, or which error it raised, as one JSON object by name.
// What the cases need of the gateway comes as one JSON object on the command line.

export const given = JSON.parse(process.argv[2]);

export async function run(cases) {
  const outcomes = Object.entries(cases).map(async ([name, play]) => [name, await outcome(play)]);
  process.stdout.write(JSON.stringify(Object.fromEntries(await Promise.all(outcomes))));
}

async function outcome(play) {
  const startedAt = performance.now();
  const partial = {};
  try {
    return { value: await play(partial) };
  } catch (error) {
    return { error: told(error), partial, ms: performance.now() - startedAt };
  }
}

function told(error) {
  const { name, message, status, code, param, type, statusCode, responseBody, isRetryable, reason, lastError } = error;
  const headers = error.headers instanceof Headers ? Object.fromEntries(error.headers) : undefined;
  const shown = { name, kind: error.constructor.name, message, status, code, param, type, headers };
  return { ...shown, statusCode, responseBody, isRetryable, reason, lastError: lastError && told(lastError) };
}
