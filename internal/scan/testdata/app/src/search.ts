import { client } from "./client";

export async function vectors(texts: string[]) {
  const answer = await client.embeddings.create({ model: "mistral-embed", inputs: texts });
  return answer.data.map((d) => d.embedding);
}
