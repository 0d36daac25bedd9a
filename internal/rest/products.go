package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/products"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// products assigns the operations on the catalogue. Converging finds a product by name and
// version.
func (a *api) products(o *operations.OsmosliceAPI) {
	o.ProductsListProductsHandler = products.ListProductsHandlerFunc(func(p products.ListProductsParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindProduct, "", "", p.Limit)
	})
	o.ProductsCreateProductHandler = products.CreateProductHandlerFunc(func(p products.CreateProductParams, _ any) middleware.Responder {
		x, err := noun[slice.Product](p.HTTPRequest)
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.ProductsConvergeProductHandler = products.ConvergeProductHandlerFunc(func(p products.ConvergeProductParams, _ any) middleware.Responder {
		x, err := noun[slice.Product](p.HTTPRequest)
		if err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		return a.converge(p.HTTPRequest, x, err, p.DryRun, operation.Condition{Op: "eq", Attr: "version", Values: []string{x.Version}})
	})
	o.ProductsGetProductHandler = products.GetProductHandlerFunc(func(p products.GetProductParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindProduct, p.ProductID)
	})
	o.ProductsPatchProductHandler = products.PatchProductHandlerFunc(func(p products.PatchProductParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindProduct, p.ProductID, p.DryRun)
	})
	o.ProductsDeleteProductHandler = products.DeleteProductHandlerFunc(func(p products.DeleteProductParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindProduct, p.ProductID, p.DryRun, nil)
	})
}
