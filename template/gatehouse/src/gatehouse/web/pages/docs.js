// Starts Swagger UI on the page /docs. A file of its own, so that the page's policy needs no
// exception for inline script. Both scripts are deferred: this one runs after the bundle.

// There is no client registry. Swagger UI sends its empty client fields as a Basic header all
// the same, and a login must not carry credentials that nobody entered.
function withoutEmptyClient(request) {
  const header = request.headers && request.headers.Authorization;
  if (header === "Basic " + btoa(":")) {
    delete request.headers.Authorization;
  }
  return request;
}

// Fields for a client id and secret would only puzzle whoever logs in: show none of them.
// Their labels name them, and the rest of the form stays Swagger UI's own.
const loginWithoutClient = () => ({
  wrapComponents: {
    Row: (Row, { React }) => (props) => {
      const label = React.Children.toArray(props.children)[0];
      const field = label && label.props && label.props.htmlFor;
      const hidden = ["password_type", "client_id_password", "client_secret_password"];
      return hidden.includes(field) ? null : React.createElement(Row, props);
    },
  },
});

SwaggerUIBundle({
  // Relative to the page, so that a proxy may put the service under a path of its own.
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  // A token stays in the page's memory and is gone when the page is.
  persistAuthorization: false,
  // The default asks a validator on another host.
  validatorUrl: null,
  requestInterceptor: withoutEmptyClient,
  plugins: [loginWithoutClient],
});
