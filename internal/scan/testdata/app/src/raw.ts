const URL_OF_CHAT = "https://api.mistral.ai/v1/chat/completions";

export async function raw(question: string) {
  const pattern = /["'`]\/{2}/;
  const response = await fetch(URL_OF_CHAT, {
    method: "POST",
    headers: { Authorization: `Bearer ${process.env.MISTRAL_API_KEY}`, "Content-Type": "application/json" },
    body: JSON.stringify({ model: "mistral-small-latest", max_tokens: 100, messages: [{ role: "user", content: question.replace(pattern, "") }] }),
  });
  return response.json();
}
