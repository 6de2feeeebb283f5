import { mistral } from "@ai-sdk/mistral";
import { ChatMistralAI } from "@langchain/mistralai";
import { generateText } from "ai";

export const model = new ChatMistralAI({ model: "mistral-medium-latest", temperature: 0 });

export async function reply(prompt: string) {
  const { text } = await generateText({ model: mistral("mistral-small-2603"), maxOutputTokens: 200, temperature: 0.3, prompt });
  return text;
}

export async function chatRoom(room: { chat: { stream(to: object): void } }) {
  room.chat.stream({ to: "everybody" });
}
