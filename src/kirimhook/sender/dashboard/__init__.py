"""The dashboard of a sender: what an organisation sees of its subscriptions and deliveries, and does about them."""
