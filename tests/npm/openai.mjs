// npm's official `openai`: text, streams, tools, typed answers, and the classes of its errors.

import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { given, run } from "./cases.mjs";

const { baseURL, apiKey, model, limited, breaks, text, session } = given;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const chat = client.chat.completions;
const says = (content) => [{ role: "user", content }];
const Place = z.object({ name: z.string(), heights: z.array(z.number()), note: z.string().nullable() });
const placeFormat = zodResponseFormat(Place, "place");
const weather = zodFunction({ name: "get_weather", parameters: z.object({ city: z.string(), days: z.number() }) });
const aboutWeather = says(`get_weather of '${text}' for 3 days`);

await run({
  async text() {
    const answer = await chat.create({ model, messages: says(text) });
    return { content: answer.choices[0].message.content, tokens: answer.usage.total_tokens };
  },
  async stream() {
    const stream = await chat.create({
      model, messages: says(text), stream: true, stream_options: { include_usage: true },
    });
    const told = { content: "", usages: 0, finished: [] };
    for await (const chunk of stream) {
      told.content += chunk.choices[0]?.delta.content ?? "";
      told.usages += chunk.usage ? 1 : 0;
      if (chunk.choices[0]?.finish_reason) told.finished.push(chunk.choices[0].finish_reason);
    }
    return told;
  },
  async tools() {
    const answer = await chat.parse({ model, messages: aboutWeather, tools: [weather] });
    return answer.choices[0].message.tool_calls.map((call) => call.function.parsed_arguments);
  },
  async streamedTools() {
    const final = await chat.stream({ model, messages: aboutWeather, tools: [weather] }).finalChatCompletion();
    return final.choices[0].message.tool_calls.map((call) => call.function.parsed_arguments);
  },
  async toolLoop() {
    const asked = [];
    const tool = {
      type: "function",
      function: {
        name: "get_weather",
        description: "Weather at a place",
        parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
        parse: JSON.parse,
        function: ({ city }) => { asked.push(city); return `fine in ${city}`; },
      },
    };
    const content = await chat.runTools({ model, messages: says(`get_weather of '${text}'`), tools: [tool] }).finalContent();
    return { asked, content };
  },
  async object() {
    const answer = await chat.parse({ model, messages: says("A place"), response_format: placeFormat });
    return Place.parse(answer.choices[0].message.parsed);
  },
  async streamedObject() {
    const stream = chat.stream({ model, messages: says("A place"), response_format: placeFormat });
    return Place.parse((await stream.finalChatCompletion()).choices[0].message.parsed);
  },
  unknownKey: () => new OpenAI({ baseURL, apiKey: "agw_unknown", maxRetries: 0 }).chat.completions.create({ model, messages: says("Hello") }),
  unknownModel: () => chat.create({ model: `${model}x`, messages: says("Hello") }),
  badRequest: () => chat.create({ model, messages: says("Hello"), temperature: "hot" }),
  async rateLimit() {
    const options = { maxRetries: 1, headers: { "X-Session-Id": session, "X-Gateway-Timeout-Ms": "500" } };
    return chat.create({ model: limited, messages: says("Hello") }, options);
  },
  async midStream(partial) {
    partial.content = "";
    for await (const chunk of await chat.create({ model: breaks, messages: says("Hello"), stream: true })) {
      partial.content += chunk.choices[0]?.delta.content ?? "";
    }
  },
});
