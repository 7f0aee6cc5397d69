"""Give a chest X-ray to the site, wait for the answer, print it.

python docs/api-example.py https://xray.example.org chest.png      (pip install httpx; the token in XRAY_TOKEN)
"""

import os
import sys
import time

import httpx

site, path = sys.argv[1:]
client = httpx.Client(base_url=site, headers={"Authorization": f"Bearer {os.environ['XRAY_TOKEN']}"}, timeout=60)

with open(path, "rb") as picture:
    response = client.post("/api/v1/scans/", files={"image": picture}, data={"reference": "my first scan"})
while response.is_success and "Retry-After" in response.headers:  # the answer is on its way
    time.sleep(int(response.headers["Retry-After"]))
    response = client.get(response.json()["url"])
if response.is_error:
    sys.exit(f"{response.json()['code']}: {response.json()['detail']}")

answer = response.json()["latest_prediction"]
if answer is None:
    sys.exit("No model is active on this site; the scan is kept.")
if answer["failure"]:
    sys.exit(f"{answer['failure']['code']}: {answer['failure']['sentence']}")
print(f"{answer['label']}, probability of pneumonia {answer['probability']:.1%}")
print("Uncertain: ask a human reader." if answer["uncertain"] else f"Operating point {answer['threshold']:.1%}")
print(f"Model {answer['model_version']['name']} {answer['model_version']['sha256'][:12]}")
print(answer["disclaimer"])
