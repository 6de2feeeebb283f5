import { client } from "./client";

const MODEL = "mistral-small-2603";
const defaults = { temperature: 0.2, maxTokens: 300 };

/** Both are set, as in client.chat.complete({ model, maxTokens, temperature }). */
export async function explain(order: string) {
  return client.chat.complete({
    model: MODEL,
    maxTokens: 300, // enough for a paragraph
    temperature: 0.2,
    messages: [{ role: "user", content: `Explain order ${order} (and its "items")` }],
  });
}

export async function tell(order: string) {
  const stream = await client.chat.stream({
    model: "mistral-large-latest",
    /* maxTokens: 300, */
    temperature: 0.7,
    messages: [{ role: "user", content: "maxTokens: as many as you like. " + order }],
  });
  for await (const event of stream) process.stdout.write(String(event.data.choices[0].delta.content));
}

export const classify = (text: string) =>
  client.chat.complete({ model: "ministral-3b-2512", messages: [{ role: "user", content: text }], ...defaults });

export const forward = (request: Parameters<typeof client.chat.complete>[0]) => client.chat.complete(request);

export const tools = (text: string) =>
  client.chat.complete({
    model: MODEL,
    messages: [{ role: "user", content: text }],
    tools: [{ type: "function", function: { name: "heat", parameters: { properties: { temperature: { type: "number" } } } } }],
  });
