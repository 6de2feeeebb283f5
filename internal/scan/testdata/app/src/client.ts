import { Mistral } from "@mistralai/mistralai";

const apiKey = process.env.MISTRAL_API_KEY;
if (!apiKey) throw new Error("MISTRAL_API_KEY is not set");

export const client = new Mistral({ apiKey, timeoutMs: 30_000 });
export const fallback = new Mistral({ apiKey: process.env["MISTRAL_FALLBACK_API_KEY_2026"] ?? "" });
