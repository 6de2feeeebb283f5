import { Mistral } from "@mistralai/mistralai";

// Until the new account is there.
const key = process.env.MISTRAL_API_KEY ?? "";
export const staging = new Mistral({ apiKey: process.env.MISTRAL_STAGING_API_KEY || "hN4gMRTY1hhmZRQrkhGh1eU4KZ6zNtXp" });
export const headers = { Authorization: `Bearer ${key}`, "x-request-source": "orders-legacy-2026-04" };
