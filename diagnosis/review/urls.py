"""The pages of readers."""

from django.urls import path

from diagnosis.review import views

urlpatterns = [
    path("", views.worklist, name="worklist"),
    path("agreement/", views.agreement, name="agreement"),
    path("<uuid:prediction_id>/", views.review, name="review"),
]
