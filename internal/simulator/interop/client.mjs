// Talks to the API at WINDSOCK_URL with the key in WINDSOCK_KEY through the official client, as an application would, and
// prints what came of each step as JSON. A step that fails is an entry of the transcript, not the end of it.
import { Mistral } from "@mistralai/mistralai";

const client = new Mistral({ apiKey: process.env.WINDSOCK_KEY, serverURL: process.env.WINDSOCK_URL, timeoutMs: 10000 });
const model = "mistral-small-latest";
const messages = [{ role: "user", content: "Reply with pong." }];
const transcript = {};

async function step(name, run) {
  try {
    transcript[name] = { ok: await run() };
  } catch (error) {
    transcript[name] = { error: { name: error.name, status: error.statusCode ?? 0, body: error.body ?? "", message: String(error.message) } };
  }
}

await step("models", async () => {
  const list = await client.models.list();
  return list.data.map((card) => ({
    id: card.id,
    name: card.name,
    type: card.type,
    aliases: card.aliases.length,
    chat: card.capabilities.completionChat,
    retires: card.deprecation?.toISOString() ?? "",
    replacement: card.deprecationReplacementModel ?? "",
  }));
});

await step("model", async () => {
  const card = await client.models.retrieve({ modelId: model });
  return { id: card.id, name: card.name };
});

await step("complete", async () => {
  const answer = await client.chat.complete({ model, messages, maxTokens: 16 });
  const [choice] = answer.choices;
  return { model: answer.model, content: choice.message.content, finish: choice.finishReason, tokens: answer.usage.totalTokens };
});

await step("reason", async () => {
  const answer = await client.chat.complete({ model, messages, maxTokens: 64, reasoningEffort: "high" });
  return answer.choices[0].message.content.map((block) => block.type);
});

await step("stream", async () => {
  const chunks = [];
  for await (const event of await client.chat.stream({ model, messages, maxTokens: 16 })) chunks.push(event.data);
  const last = chunks.at(-1);
  return {
    chunks: chunks.length,
    first: chunks[0].choices[0].delta,
    content: chunks.map((chunk) => chunk.choices[0].delta.content).join(""),
    finish: last.choices[0].finishReason,
    tokens: last.usage.totalTokens,
  };
});

await step("embed", async () => {
  const answer = await client.embeddings.create({ model: "mistral-embed", inputs: ["one text", "another"] });
  return { vectors: answer.data.length, width: answer.data[0].embedding.length, tokens: answer.usage.totalTokens };
});

await step("unknown_model", () => client.chat.complete({ model: "no-such-model", messages }));
await step("unknown_field", () => client.embeddings.create({ model: "mistral-embed", inputs: "x", encodingFormat: "base64" }));

process.stdout.write(JSON.stringify(transcript, null, 2) + "\n");
