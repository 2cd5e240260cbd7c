"""The person in a portrait: face, hair, clothes, hands, glasses and masks."""
