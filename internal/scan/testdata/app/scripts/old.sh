#!/bin/sh
# windsock:allow the key of the old account, revoked and kept for the record
curl -H "Authorization: Bearer NlGwnmnotQEFvIPHfCFB3UqF7IdnyEcD" https://api.mistral.ai/v1/models
# windsock:allow
curl -H "x-api-key: SH5kW7HlTQXHcqavgcKKYjJ2Jp1uAwLw" https://orders.internal/v1/models
