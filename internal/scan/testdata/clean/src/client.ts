import { Mistral } from "@mistralai/mistralai";

export const client = new Mistral({ apiKey: process.env.MISTRAL_API_KEY });
export const MODEL = process.env.MISTRAL_MODEL;

// A call that once stood here: client.chat.complete({ model: "mistral-large-latest" })
export const note = "client.chat.complete({ model }) is called in another service";
