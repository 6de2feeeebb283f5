#!/bin/sh
# curl https://api.mistral.ai/v1/chat/completions -d '{"model": "mistral-tiny"}'
curl -sS https://api.mistral.ai/v1/chat/completions \
  -H "Authorization: Bearer $MISTRAL_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "ministral-3b-2512",
    "messages": [{"role": "user", "content": "ping"}],
    "max_tokens": 1
  }'
