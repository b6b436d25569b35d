"""The sandbox PSP as Stripe's own SDK sees it: as its client, and as the verifier of its webhooks.

Usage: conversation.py URL KEY WEBHOOK_PORT WEBHOOK_SECRET. Ends with 0 if the SDK understood everything.
"""

import http.server
import queue
import sys
import threading

import stripe

url, key, port, secret = sys.argv[1:]
events = queue.Queue()


class Receiver(http.server.BaseHTTPRequestHandler):
    """Believes a webhook only if the SDK does."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            events.put(stripe.Webhook.construct_event(body, self.headers["Stripe-Signature"], secret))
            status = 200
        except (ValueError, stripe.SignatureVerificationError) as error:
            events.put(error)
            status = 400
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = stripe.StripeClient(key, base_addresses={"api": url}, max_network_retries=0)
intents, refunds, disputes = client.v1.payment_intents, client.v1.refunds, client.v1.disputes


def refused(error, ask):
    """The error of that class that asking raises."""
    try:
        ask()
    except error as raised:
        return raised
    raise AssertionError(f"no {error.__name__}")


def event(kind):
    """The next webhook, which must be of that kind."""
    seen = events.get(timeout=10)
    assert not isinstance(seen, Exception), seen
    assert seen.type == kind, (seen.type, kind)
    return seen


def new(card="pm_card_visa", amount=5990, **options):
    return intents.create(
        {
            "amount": amount,
            "currency": "brl",
            "payment_method": card,
            "payment_method_types": ["card"],
            "metadata": {"payment_id": "p1", "order_id": "o1"},
        },
        options,
    )


# A charge, and its webhook.
intent = new()
assert isinstance(intent, stripe.PaymentIntent) and intent.id.startswith("pi_")
assert (intent.status, intent.amount, intent.currency) == ("requires_confirmation", 5990, "brl")
paid = intents.confirm(intent.id)
assert paid.status == "succeeded" and paid.metadata["payment_id"] == "p1"
told = event("payment_intent.succeeded")
assert told.object == "event" and told.data.object.id == intent.id and told.data.object.status == "succeeded"
assert intents.retrieve(intent.id).status == "succeeded"

# What cannot be: confirming and cancelling what is paid, asking for what is not there, a wrong key.
again = refused(stripe.InvalidRequestError, lambda: intents.confirm(intent.id))
assert (again.http_status, again.code) == (400, "payment_intent_unexpected_state")
assert refused(stripe.InvalidRequestError, lambda: intents.cancel(intent.id)).http_status == 400
missing = refused(stripe.InvalidRequestError, lambda: intents.retrieve("pi_none"))
assert (missing.http_status, missing.code) == (404, "resource_missing")
stranger = stripe.StripeClient("sk_test_wrong", base_addresses={"api": url}, max_network_retries=0)
refused(stripe.AuthenticationError, lambda: stranger.v1.payment_intents.retrieve(intent.id))

# A declined card.
declined = new("pm_card_chargeCustomerFail")
error = refused(stripe.CardError, lambda: intents.confirm(declined.id))
assert (error.http_status, error.code, error.error.decline_code) == (402, "card_declined", "generic_decline")
assert event("payment_intent.payment_failed").data.object.last_payment_error.code == "card_declined"
assert intents.retrieve(declined.id).status == "requires_payment_method"

# Pix: a code to show, then the money.
pix = intents.create(
    {
        "amount": 100,
        "currency": "brl",
        "payment_method_data": {"type": "pix"},
        "payment_method_types": ["pix"],
    }
)
waiting = intents.confirm(pix.id)
assert waiting.status == "requires_action" and waiting.next_action.type == "pix_display_qr_code"
assert waiting.next_action.pix_display_qr_code.data
event("payment_intent.requires_action")
assert event("payment_intent.succeeded").data.object.id == pix.id

# Idempotency keys: the same answer again, an error for another body.
first, repeat = new(idempotency_key="k1"), new(idempotency_key="k1")
assert first.id == repeat.id
refused(stripe.IdempotencyError, lambda: new(amount=1, idempotency_key="k1"))

# Giving up.
assert intents.cancel(first.id).status == "canceled"

# Lists, page by page, newest first.
listed = [one.id for one in intents.list({"limit": 2}).auto_paging_iter()]
assert listed == [first.id, pix.id, declined.id, intent.id], listed

# Refunds: a part, the rest, and no more.
part = refunds.create({"payment_intent": intent.id, "amount": 1000, "metadata": {"refund": "1"}})
assert isinstance(part, stripe.Refund) and (part.status, part.amount, part.metadata["refund"]) == ("succeeded", 1000, "1")
too_much = refused(stripe.InvalidRequestError, lambda: refunds.create({"payment_intent": intent.id, "amount": 5000}))
assert too_much.code == "charge_already_refunded"
assert refunds.create({"payment_intent": intent.id}).amount == 4990
assert sum(refund.amount for refund in refunds.list({"payment_intent": intent.id}).data) == 5990

# A dispute, and the bank's word after evidence was given.
disputed = new("pm_card_createDispute")
assert intents.confirm(disputed.id).status == "succeeded"
event("payment_intent.succeeded")
dispute = event("charge.dispute.created").data.object
assert isinstance(dispute, stripe.Dispute) and (dispute.payment_intent, dispute.reason) == (disputed.id, "fraudulent")
assert disputes.retrieve(dispute.id).status == "needs_response"
assert disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}}).status == "won"
assert event("charge.dispute.closed").data.object.status == "won"

# A webhook that is not signed with the secret is not believed: the SDK would have said so above.
refused(stripe.SignatureVerificationError, lambda: stripe.Webhook.construct_event(b"{}", "t=1,v1=00", secret))
assert events.empty()
print("The SDK understood everything")
