"""A purchase with the client that openapi-python-client makes: `python buy.py URL`."""

import datetime
import sys
import time

from ludoteca import AuthenticatedClient, Client
from ludoteca.api.games import search_games
from ludoteca.api.login import log_in
from ludoteca.api.orders import buy_games, get_order
from ludoteca.api.users import register_user
from ludoteca.models import Credentials, NewUser, Order, OrderStatus, PaymentMethod, PaymentMethodType, Purchase, Sort

url = sys.argv[1]
shop = Client(base_url=url)
password = "fourteen kettles of rain"
person = NewUser(name="Ana", email="ana@python.example", password=password, birth_date=datetime.date(1990, 5, 17))
register_user.sync(client=shop, body=person)
tokens = log_in.sync(client=shop, body=Credentials(email=person.email, password=password))
buyer = AuthenticatedClient(base_url=url, token=tokens.access_token)
found = search_games.sync(client=shop, q="ark", sort=Sort.CHEAPEST)
method = PaymentMethod(type_=PaymentMethodType.CARD, token="pm_card_visa")
accepted = buy_games.sync(client=buyer, body=Purchase(games=[found.items[0].id], payment_method=method))
while True:
    order = get_order.sync(accepted.order_id, client=buyer)
    if isinstance(order, Order) and order.status == OrderStatus.COMPLETED:
        break
    time.sleep(0.05)
print("completed")
