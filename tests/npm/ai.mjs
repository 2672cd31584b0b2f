// npm's `ai` over `@ai-sdk/openai-compatible`: text, streams, tools, objects, and its errors.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { given, run } from "./cases.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const { baseURL, apiKey, model: id, limited, breaks, text, session } = given;
const settings = { name: "gateway", baseURL, includeUsage: true, supportsStructuredOutputs: true };
const gateway = createOpenAICompatible({ ...settings, apiKey });
const model = gateway(id);
const Place = z.object({ name: z.string(), heights: z.array(z.number()), note: z.string().nullable() });
const calls = (asked) => ({
  get_weather: tool({
    description: "Weather at a place",
    inputSchema: z.object({ city: z.string(), days: z.number() }),
    execute: ({ city, days }) => { asked.push({ city, days }); return `fine in ${city}`; },
  }),
});
const once = { maxRetries: 0 };

await run({
  async text() {
    const { text: content, usage } = await generateText({ model, prompt: text, ...once });
    return { content, tokens: usage.totalTokens };
  },
  async stream() {
    const result = streamText({ model, prompt: text, ...once });
    let content = "";
    for await (const part of result.textStream) content += part;
    return { content, tokens: (await result.usage).totalTokens, finished: await result.finishReason };
  },
  async toolLoop() {
    const asked = [];
    const wanted = { model, prompt: `get_weather of '${text}' for 3 days`, tools: calls(asked), stopWhen: stepCountIs(3) };
    const result = await generateText({ ...wanted, ...once });
    return { asked, content: result.text, steps: result.steps.length };
  },
  async streamedToolLoop() {
    const asked = [];
    const wanted = { model, prompt: `get_weather of '${text}' for 3 days`, tools: calls(asked), stopWhen: stepCountIs(3) };
    const result = streamText({ ...wanted, ...once });
    return { content: await result.text, asked, steps: (await result.steps).length };
  },
  async object() {
    return (await generateText({ model, prompt: "A place", output: Output.object({ schema: Place }), ...once })).output;
  },
  async streamedObject() {
    return await streamText({ model, prompt: "A place", output: Output.object({ schema: Place }), ...once }).output;
  },
  async reasoning() {
    const result = await generateText({ model, prompt: `#!reasoning=First%20I%20think\n${text}`, ...once });
    return { reasoning: result.reasoningText, content: result.text };
  },
  async streamedReasoning() {
    const result = streamText({ model, prompt: `#!reasoning=First%20I%20think\n${text}`, ...once });
    return { content: await result.text, reasoning: await result.reasoningText };
  },
  unknownKey: () => generateText({ model: createOpenAICompatible({ ...settings, apiKey: "agw_unknown" })(id), prompt: "Hello", ...once }),
  unknownModel: () => generateText({ model: gateway(`${id}x`), prompt: "Hello", ...once }),
  badRequest: () => generateText({ model, prompt: "Hello", providerOptions: { gateway: { temperature: "hot" } }, ...once }),
  rateLimit: () => generateText({
    model: gateway(limited), prompt: "Hello", maxRetries: 1,
    headers: { "X-Session-Id": session, "X-Gateway-Timeout-Ms": "500" },
  }),
  async midStream(partial) {
    partial.content = "";
    const errors = [];
    const result = streamText({ model: gateway(breaks), prompt: "Hello", onError: ({ error }) => errors.push(error), ...once });
    for await (const part of result.textStream) partial.content += part;
    if (errors.length) throw errors[0];
  },
});
