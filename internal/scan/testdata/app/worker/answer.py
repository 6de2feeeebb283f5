"""Answers questions.

    client.chat.complete(model="mistral-large-latest", messages=[])
"""
import requests
from mistralai import Mistral

from settings import API_KEY, MODEL

client = Mistral(api_key=API_KEY)


def answer(question: str, **options):
    return client.chat.complete(
        model=MODEL,
        messages=[{"role": "user", "content": question + " temperature=hot, "}],
        max_tokens=200,  # temperature=0.1
    )


def with_options(question: str, **options):
    return client.chat.complete(model="mistral-small-2603", messages=[{"role": "user", "content": question}], **options)


def by_hand(question: str):
    return requests.post(
        "https://api.mistral.ai/v1/chat/completions",
        headers={"Authorization": f"Bearer {API_KEY}"},
        json={"model": "open-mistral-nemo", "messages": [{"role": "user", "content": question}]},
        timeout=30,
    )
