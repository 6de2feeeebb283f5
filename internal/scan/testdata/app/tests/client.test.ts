import { Mistral } from "@mistralai/mistralai";

// A key that somebody left in a test is a key that somebody left.
export const client = new Mistral({ apiKey: "f4EUWpuEM72eBMd2okDPu7o83kcI4auV" });
export const other = new Mistral({ apiKey: "test-key-of-nobody-000" });
